// Writes the lists that validate.py reads, so that no test needs npm:
//   npm install --prefix DIR --ignore-scripts @elastic/ecs@9.4.0 cloudevents@10.0.0
//   node tests/validators/vendor.mjs DIR/node_modules
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const modules = resolve(process.argv[2] ?? "node_modules");
const here = (name) => new URL(name, import.meta.url);
const require = createRequire(import.meta.url);

const { EcsFlat } = require(join(modules, "@elastic/ecs"));
const { version: ecs } = JSON.parse(readFileSync(join(modules, "@elastic/ecs/package.json")));
const fields = Object.values(EcsFlat).map((field) => [
  field.flat_name,
  field.type,
  field.normalize.includes("array") ? "array" : "",
  (field.allowed_values ?? []).map((value) => value.name).join(" "),
]);
fields.sort(([a], [b]) => (a < b ? -1 : 1));
const head = [
  `# The fields of the Elastic Common Schema ${ecs}: name, type, whether it is always an array, allowed values.`,
  `# Facts from the npm package @elastic/ecs ${ecs} (Copyright Elasticsearch B.V., Apache-2.0), by vendor.mjs.`,
];
writeFileSync(here(`ecs-${ecs}.tsv`), [...head, ...fields.map((it) => it.join("\t").trimEnd())].join("\n") + "\n");

// The schema stands as a constant in a compiled validator; its first object literal is JSON.
const compiled = readFileSync(join(modules, "cloudevents/dist/schema/v1.js"), "utf8");
const literal = compiled.split("\n").find((line) => /^const schema\d+ = \{ "\$schema"/.test(line));
const schema = JSON.parse(literal.slice(literal.indexOf("{"), literal.lastIndexOf("}") + 1));
schema.$comment = "From the npm package cloudevents 10.0.0 (Copyright The CloudEvents Authors, Apache-2.0), by vendor.mjs.";
writeFileSync(here("cloudevents-1.0.2.schema.json"), JSON.stringify(schema, null, 2) + "\n");
