// The OpenAPI document, to be read: operations, what they take, what they answer, and a command to try each.

const ROOT = new URL("..", import.meta.url); // of this application, which may lie under a prefix

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function named(reference, document) {
  const path = reference?.$ref?.split("/").slice(1) ?? [];
  return path.reduce((value, name) => value?.[name], document);
}

function command(method, path, operation) {
  const fields = operation.requestBody?.content["multipart/form-data"]?.schema.required ?? [];
  const photos = fields.map((field) => ` -F ${field}=@${field}.jpg`).join("");
  const verb = method === "GET" ? "" : ` -X ${method}`;
  return `curl${verb}${photos} ${new URL(path.slice(1).replace("{identity}", "ann"), ROOT)}`;
}

// JSON with a list of numbers on one line.
function pretty(value) {
  return JSON.stringify(value, null, 1).replace(/\[[\s\d.,-]+\]/g, (list) => list.replace(/\s+/g, " "));
}

function described(method, path, operation, document) {
  const block = element("div", "", element("code", `${method} ${path}`), element("p", operation.description ?? operation.summary));
  block.className = "operation";
  const parameters = (operation.parameters ?? []).filter((one) => one.in !== "path");
  if (parameters.length) {
    const rows = parameters.map((one) =>
      element("tr", "", element("th", one.name), element("td", one.in), element("td", one.description ?? "")));
    block.append(element("table", "", element("tbody", "", ...rows)));
  }
  block.append(element("pre", command(method, path, operation)));
  for (const [status, response] of Object.entries(operation.responses)) {
    const example = named(response.content?.["application/json"]?.schema, document)?.examples?.[0];
    if (example && status < 300) block.append(element("pre", pretty(example)));
  }
  const problems = Object.keys(operation.responses).filter((status) => status >= 400);
  if (problems.length) block.append(element("p", `Problem details (RFC 9457): ${problems.join(", ")}`));
  return block;
}

const answer = await (await fetch(new URL("openapi.json", ROOT))).json();
document.getElementById("about").textContent = `${answer.info.summary} ${answer.info.description} With keys set up, `
  + "send yours as “Authorization: Bearer KEY”. Every answer has an X-Request-ID, by which the log knows it.";
const groups = new Map();
for (const [path, methods] of Object.entries(answer.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const tag = operation.tags?.[0] ?? "other";
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(described(method.toUpperCase(), path, operation, answer));
  }
}
const sections = [...groups].map(([tag, blocks]) => element("section", "", element("h2", tag), ...blocks));
document.getElementById("operations").append(...sections);
