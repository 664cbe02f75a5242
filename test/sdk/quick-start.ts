import { Isola } from "@isola-run/sdk";

const client = new Isola({ url: "http://localhost:8080" }); // or set ISOLA_URL env var

const sandbox = await client.sandboxes.create({ image: "python:3.12-slim" });

const result = await sandbox.commands.run(["python3", "-c", "print('hello from the sandbox')"]);
console.log(result.stdout); // "hello from the sandbox\n"

await sandbox.filesystem.write("/tmp/hello.txt", "Hello, World!");
const data = await sandbox.filesystem.read("/tmp/hello.txt");
console.log(new TextDecoder().decode(data)); // "Hello, World!"

await sandbox.delete();
