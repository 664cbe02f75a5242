import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));

export interface JailPlan {
  /** An empty folder; the jail is mounted there, and nobody but the jailed sees it. */
  readonly jailDir: string;
  readonly readable: readonly string[];
  readonly writable: readonly string[];
}

// A root of its own: this machine's programs and what is named, each where it is; read-only unless said otherwise.
const ENTER = `set -eu
jail=$1
shift
mount -t tmpfs -o mode=0755,nosuid tmpfs "$jail"
mkdir "$jail/etc" "$jail/dev" "$jail/proc" "$jail/tmp"
mount -t proc -o ro,nosuid,nodev,noexec proc "$jail/proc"
bind() {
  [ -e "$2" ] || return 0
  if [ -d "$2" ]; then mkdir -p "$jail$2"
  else mkdir -p "$jail\${2%/*}"; [ -e "$jail$2" ] || : > "$jail$2"; fi
  mount --bind "$2" "$jail$2"
  if [ "$1" = ro ]; then mount -o remount,bind,ro "$jail$2"; fi
}
for name in bin sbin lib lib32 lib64; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$jail/$name"; else bind ro "/$name"; fi
done
bind ro /usr
for name in null zero random urandom; do bind rw "/dev/$name"; done
for name in hosts nsswitch.conf host.conf gai.conf localtime; do
  if [ -f "/etc/$name" ]; then cp -L "/etc/$name" "$jail/etc/$name"; fi
done
for name in ssl ca-certificates pki; do bind ro "/etc/$name"; done
# A file that is replaced later is seen only where its folder is.
if [ -f /etc/resolv.conf ]; then
  resolv=$(readlink -f /etc/resolv.conf)
  case $resolv in
  /run/*) bind ro "\${resolv%/*}"; ln -s "$resolv" "$jail/etc/resolv.conf" ;;
  *) cp "$resolv" "$jail/etc/resolv.conf" ;;
  esac
fi
while [ "$1" != -- ]; do
  bind "$1" "$2"
  shift 2
done
shift
cd /
exec chroot "$jail" setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"`;

/**
 * Words that run a program where it finds only what it needs, as a root user without any capability: no
 * other file, no other process. The network is the machine's. Ends when this process does.
 */
export function jailed({ jailDir, readable, writable }: JailPlan, command: readonly string[]): readonly string[] {
  const isolated = ["--mount", "--propagation", "private", "--pid", "--ipc", "--uts", "--fork", "--kill-child"];
  const binds = [...readable.flatMap((path) => ["ro", path]), ...writable.flatMap((path) => ["rw", path])];
  const enter = ["sh", "-c", ENTER, "jail", jailDir, ...binds, "--", ...command];
  return ["setpriv", "--pdeathsig", "KILL", "--", "unshare", ...isolated, ...enter];
}

/** What a program of this checkout needs to run. */
export function programFiles(nodePath: string): readonly string[] {
  return [...["api", "core", "mounter", "package.json", "node_modules"].map((name) => join(ROOT, name)), nodePath];
}
