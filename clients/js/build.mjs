/** Bundle what our own pages use into the Python package: scripts/javascript runs this after tsc. */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildSync } from "esbuild";

const PAGES = "../../src/tailrace/web/pages/";

/** What is bundled: a module of ours or a package, under the name that pages import it by. */
const BUNDLES = [
  { from: "src/page.ts", to: "tailrace.js", what: "@tailrace/client, from clients/js" },
  { from: "markdown-it", to: "markdown-it.js", what: "markdown-it, as its authors publish it" },
  { from: "uplot", to: "dashboard/uplot.js", what: "uPlot, as its authors publish it" },
  { from: "uplot/dist/uPlot.min.css", to: "dashboard/uplot.css", what: "uPlot's styles" },
];

const isCheck = process.argv.includes("--check");
for (const bundle of BUNDLES) build(bundle);

function build({ from, to, what }) {
  const kind = to.endsWith(".css") ? "css" : "js";
  const options = {
    entryPoints: [from],
    outfile: PAGES + to,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    banner: { [kind]: `/* ${what}; made by scripts/javascript. */` },
    write: false,
  };
  const { inputs } = buildSync({ ...options, metafile: true }).metafile;
  const footer = { [kind]: licences(inputs) };
  // --check: only see whether what is there is what would be made.
  const { outputFiles } = buildSync({ ...options, footer, write: !isCheck });
  if (outputFiles && readFileSync(PAGES + to, "utf8") !== outputFiles[0].text) {
    console.error(`${PAGES + to} is not what the sources make: run scripts/javascript`);
    process.exitCode = 1;
  }
}

/** The licences of the packages that a bundle has parts of: they ask to go along. */
function licences(inputs) {
  const packages = new Set(Object.keys(inputs).map(packageOf).filter(Boolean));
  return [...packages].sort().map(licence).join("\n");
}

/** The folder of the package that a file is of; none where it is ours. */
function packageOf(file) {
  for (let folder = dirname(file); folder.includes("node_modules/"); folder = dirname(folder)) {
    // A folder may have a package.json that only says how its modules are written.
    const about = join(folder, "package.json");
    if (existsSync(about) && JSON.parse(readFileSync(about, "utf8")).version) return folder;
  }
  return undefined;
}

function licence(folder) {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  const text = readFileSync(join(folder, file), "utf8").trim().replaceAll("*/", "* /");
  return `/*! ${name} ${version}\n\n${text}\n*/`;
}
