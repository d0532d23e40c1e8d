// node node.mjs CLIENT BASE ARGUMENTS...: what the client's `run` returns, as JSON.
const [client, ...given] = process.argv.slice(2);
const { run } = await import(`./${client}.mjs`);
process.stdout.write(JSON.stringify(await run(...given)));
