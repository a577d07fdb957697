// Answers one question about pictures: a JSON object on standard input, one on standard output.
//
// The modules are in the environment `.venvs/browser`, named by DAGFORGE_BROWSER, not beside this
// file. Chromium is unpacked there too, by `node browser.mjs --unpack`, once: two tests that did it
// at the same time would start half of a file.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const environment = process.env.DAGFORGE_BROWSER;
process.env.TMPDIR = environment;
const require = createRequire(`${environment}/package.json`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);

async function openPage() {
  const { default: chromium } = await load("@sparticuz/chromium");
  const { default: puppeteer } = await load("puppeteer-core");
  const browser = await puppeteer.launch({
    args: chromium.args,
    executablePath: await chromium.executablePath(),
    headless: "shell",
  });
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() !== "debug") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!/^(file|data|about|blob):/.test(request.url())) complaints.push(request.url());
  });
  return { browser, page, complaints };
}

const questions = {
  // Draws flowcharts as GitHub does: `{charts: [text]}`.
  async mermaid({ charts }) {
    const { browser, page, complaints } = await openPage();
    await page.setContent("<!DOCTYPE html><body></body>");
    await page.addScriptTag({ path: require.resolve("mermaid/dist/mermaid.min.js") });
    const drawn = await page.evaluate(async (texts) => {
      mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
      const answers = [];
      for (const [number, text] of texts.entries()) {
        try {
          const { svg } = await mermaid.render(`chart${number}`, text);
          const place = document.createElement("div");
          place.innerHTML = svg;
          document.body.append(place);
          const all = (selector) => [...place.querySelectorAll(selector)];
          const lines = (element) => element.innerText.trim().split("\n");
          answers.push({
            nodes: all("g.node foreignObject div").map(lines),
            boxes: all("g.cluster foreignObject div").map(lines),
            labels: all("g.edgeLabels foreignObject div").map(lines).filter((line) => line[0]),
            arrows: all("path.flowchart-link").length,
            foreign: all("img, script, iframe, a, b, em, strong, ul, ol, h1").length,
          });
        } catch (error) {
          answers.push({ error: error.message });
        }
      }
      return answers;
    }, charts);
    await browser.close();
    return { drawn, complaints };
  },

  // Draws graphs with Graphviz' own code: `{graphs: [text]}`.
  async dot({ graphs }) {
    const { instance } = await load("@viz-js/viz");
    const viz = await instance();
    return { drawn: graphs.map((text) => viz.render(text, { format: "svg", engine: "dot" })) };
  },

  // Opens files, offline: `{files: [path], dark: boolean}`.
  async open({ files, dark }) {
    const { browser, page, complaints } = await openPage();
    await page.setOfflineMode(true);
    const scheme = dark ? "dark" : "light";
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    const seen = [];
    for (const file of files) {
      await page.goto(pathToFileURL(file).href);
      seen.push(
        await page.evaluate(() => {
          const box = (element) => {
            const { left, top, right, bottom } = element.getBoundingClientRect();
            return { left, top, right, bottom };
          };
          const all = (selector) => [...document.querySelectorAll(selector)];
          return {
            foreign: all("img, script, iframe, link, object").length,
            background: getComputedStyle(document.querySelector("svg.dagforge")).backgroundColor,
            ink: getComputedStyle(document.querySelector("svg.dagforge .box + text, .title") ??
              document.body).color,
            shapes: all(".shape").map((shape) => ({
              name: shape.dataset.name,
              fill: getComputedStyle(shape.querySelector("rect")).fill,
              ink: getComputedStyle(shape.querySelector("text")).fill,
              rectangle: box(shape.querySelector("rect")),
              texts: [...shape.querySelectorAll("text")].map((text) => ({
                text: text.textContent,
                box: box(text),
              })),
            })),
            boxes: all("rect.box").map(box),
            labels: all("text.label").map((text) => ({ text: text.textContent, box: box(text) })),
          };
        }),
      );
    }
    await browser.close();
    return { seen, complaints };
  },

  // Does what a reader does with a page, offline: `{file, dark, width, height, scripts, steps}`.
  // A step is `{click: selector}`, `{follow: [selector, its text]}`, `{press: key}`, `{type: text}`, `{resize: [width, height]}`,
  // `{screenshot: file}`, `{pdf: file}`, or `{ask: expression}`, `{axe: true}`, `{metrics: true}`, whose
  // results are the answers.
  async visit({ file, dark = false, width = 1400, height = 900, scripts = true, steps }) {
    const { browser, page, complaints } = await openPage();
    await page.setOfflineMode(true);
    await page.setJavaScriptEnabled(scripts);
    await page.setViewport({ width, height });
    const scheme = dark ? "dark" : "light";
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.goto(pathToFileURL(file).href);
    // What a step sets off may come in a task of its own, be measured then, and be painted after.
    const settled = () =>
      page.evaluate(async () => {
        for (let frame = 0; frame < 5; frame += 1) await new Promise(requestAnimationFrame);
      });
    const does = {
      click: (selector) => page.click(selector),
      follow: ([selector, text]) =>
        page.evaluate(
          (selector, text) =>
            [...document.querySelectorAll(selector)]
              .find((each) => each.textContent === text)
              .click(),
          selector,
          text,
        ),
      press: (key) => page.keyboard.press(key),
      type: (text) => page.keyboard.type(text),
      resize: ([width, height]) => page.setViewport({ width, height }),
      screenshot: (path) => page.screenshot({ path }),
      pdf: (path) => page.pdf({ path, format: "A4", landscape: true }),
      ask: (expression) => page.evaluate(expression),
      metrics: () => page.metrics(),
      // What axe finds wrong for people with disabilities; the page's own policy stays as it is.
      axe: async () => {
        await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf-8"));
        const { violations } = await page.evaluate(() => axe.run());
        return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
      },
    };
    const answers = [];
    for (const step of steps) {
      const [[name, argument]] = Object.entries(step);
      const answer = await does[name](argument);
      if (["ask", "axe", "metrics"].includes(name)) answers.push(answer);
      else if (scripts) await settled();
    }
    await browser.close();
    return { answers, complaints };
  },
};

if (process.argv[2] === "--unpack") {
  const { browser } = await openPage();
  await browser.close();
} else {
  let text = "";
  for await (const part of process.stdin) text += part;
  const { question, ...about } = JSON.parse(text);
  process.stdout.write(JSON.stringify(await questions[question](about)));
}
