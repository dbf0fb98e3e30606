// Checks Kubernetes objects against the packages `kubernetes-models` and `@kubernetes-models/*`, which are made of the Go types or
// of the custom resource definitions of the upstream projects. Reads a list of [object, whether its kind is built in] as JSON,
// writes for each object a list of [JSON pointer, what is wrong], or null where no package knows its kind.
//
// The validators of the packages let unknown fields pass, their TypeScript types do not have them: so each custom resource is also
// held against the type of its kind. For a built-in kind only the validator counts, as it knows enums that the published schemas
// of Kubernetes do not have.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = process.argv[2];
const ts = createRequire(join(modules, "index.js"))("typescript");
const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));
const builtIn = ["kubernetes-models"];
const custom = Object.keys(dependencies).filter((name) => name.startsWith("@kubernetes-models/"));

// The path of what describes a kind, less its extension. Types that are only parts of objects lie beside the kinds: these have no
// `kind` of their own.
async function find([{ apiVersion, kind }, isBuiltIn]) {
  for (const name of isBuiltIn ? builtIn : custom) {
    const path = join(modules, name, apiVersion, kind);
    if (!existsSync(path + ".js")) continue;
    const { [kind]: model } = await import(pathToFileURL(path + ".js"));
    if (model?.kind === kind && model.apiVersion === apiVersion) return { path, model };
  }
}

function validate(model, object) {
  try {
    new model(object).validate();
    return [];
  } catch (error) {
    if (!error.errors) throw error;
    return error.errors.map(({ instancePath, message, params: { allowedValues, missingProperty } }) => {
      if (missingProperty) return [`${instancePath}/${missingProperty}`, "missing"];
      return [instancePath, allowedValues ? `must be one of: ${allowedValues.join(", ")}` : message];
    });
  }
}

// Free-form values: `any`, `unknown`, `object` and `{}`.
function isFree(checker, type) {
  if (type.flags & (ts.TypeFlags.AnyOrUnknown | ts.TypeFlags.NonPrimitive)) return true;
  const empty = !checker.getPropertiesOfType(type).length && !checker.getIndexInfosOfType(type).length;
  return Boolean(type.flags & ts.TypeFlags.Object) && empty;
}

// Wrong types are left to the validator.
function* unknownFields(checker, given, value, at) {
  const types = [...new Set(given.flatMap((type) => (type.isUnion() ? type.types : [type])))];
  if (types.some((type) => isFree(checker, type))) return;
  if (value === null) {
    // The API server refuses null where a custom resource does not declare it; generators write this one null.
    if (!at.endsWith("/creationTimestamp")) yield [at, "must not be null"];
  } else if (Array.isArray(value)) {
    const items = types.map((type) => checker.getIndexTypeOfType(type, ts.IndexKind.Number)).filter(Boolean);
    for (const [index, item] of value.entries()) yield* unknownFields(checker, items, item, `${at}/${index}`);
  } else if (typeof value === "object") {
    const objects = types.filter((type) => type.flags & ts.TypeFlags.StructuredType && !checker.isArrayType(type));
    if (!objects.length) return;
    for (const [key, inner] of Object.entries(value)) {
      const place = `${at}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      const fields = objects.map((type) => field(checker, type, key)).filter(Boolean);
      if (fields.length) yield* unknownFields(checker, fields, inner, place);
      else yield [place, "unknown field"];
    }
  }
}

function field(checker, type, key) {
  const property = checker.getPropertyOfType(type, key);
  return property ? checker.getTypeOfSymbol(property) : checker.getIndexTypeOfType(type, ts.IndexKind.String);
}

const objects = JSON.parse(readFileSync(0));
const found = await Promise.all(objects.map(find));
const files = found.filter((model, index) => model && !objects[index][1]).map(({ path }) => path + ".d.ts");
// One program for all kinds: most of the time goes into reading the declarations that they share.
const program = ts.createProgram([...new Set(files)], {
  lib: ["lib.es5.d.ts"],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  types: [],
});
const checker = program.getTypeChecker();

const defects = objects.map(([object, isBuiltIn], index) => {
  if (!found[index]) return null;
  const { path, model } = found[index];
  const wrong = validate(model, object);
  if (isBuiltIn) return wrong;
  const declared = checker.getSymbolAtLocation(program.getSourceFile(path + ".d.ts"));
  const type = checker.getDeclaredTypeOfSymbol(declared.exports.get(`I${object.kind}`));
  return [...wrong, ...unknownFields(checker, [type], object, "")];
});
process.stdout.write(JSON.stringify(defects));
