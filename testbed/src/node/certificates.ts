import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import { CERTIFICATES, renderKubeconfig, type CertificateSpec } from "../config/certificates.ts";

const LIFE_DAYS = "365";
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"] as const;

/** Makes a new authority, the key of service accounts, all certificates and kubeconfigs in one folder. */
export async function makeCertificates(folder: string, signal: AbortSignal): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const openssl = (...words: string[]): Promise<string> =>
    runStepTool(["openssl", ...words], { signal, cwd: folder, failure: "The cluster's certificates cannot be made" });
  const authority = [
    "-subj",
    "/CN=atoll-testbed",
    "-days",
    LIFE_DAYS,
    "-addext",
    "keyUsage=critical,keyCertSign,digitalSignature",
  ];
  await openssl("req", "-x509", ...KEY, "-keyout", "ca.key", "-out", "ca.crt", ...authority);
  await openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key");
  await openssl("ec", "-in", "sa.key", "-pubout", "-out", "sa.pub");
  await Promise.all(CERTIFICATES.map((spec) => sign(folder, spec, openssl)));
}

async function sign(
  folder: string,
  { name, subject, alternativeNames, isUser }: CertificateSpec,
  openssl: (...words: string[]) => Promise<string>,
): Promise<void> {
  await openssl("req", ...KEY, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject);
  const extensions = ["extendedKeyUsage=serverAuth,clientAuth", `subjectAltName=${alternativeNames.join(",")}`];
  await writeFile(join(folder, `${name}.ext`), `${extensions.join("\n")}\n`);
  const authority = [
    "-CA",
    "ca.crt",
    "-CAkey",
    "ca.key",
    "-set_serial",
    `0x${crypto.randomUUID().replaceAll("-", "")}`,
  ];
  const signed = ["-days", LIFE_DAYS, "-extfile", `${name}.ext`, "-out", `${name}.crt`];
  await openssl("x509", "-req", "-in", `${name}.csr`, ...authority, ...signed);
  if (!isUser) return;
  const read = (file: string): Promise<string> => readFile(join(folder, file), "utf8");
  const pem = { ca: await read("ca.crt"), certificate: await read(`${name}.crt`), key: await read(`${name}.key`) };
  await writeFile(join(folder, `${name}.kubeconfig`), renderKubeconfig(name, pem), { mode: 0o600 });
}
