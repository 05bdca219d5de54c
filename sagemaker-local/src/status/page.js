"use strict";
const SVG = "http://www.w3.org/2000/svg";
const OK = ["Completed", "InService", "Successful"];
const BAD = ["Failed", "Stopped"];

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

const badge = (status) => {
  const kind = OK.includes(status) ? "ok" : BAD.includes(status) ? "issue" : "busy";
  return element("span", { class: `badge ${kind}` }, status);
};

// A line through values, drawn without axes: its text says what it shows.
const curve = (values, label) => {
  if (!values || values.length < 2) return "";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((value, index) => {
    const x = (100 * index) / (values.length - 1);
    const y = high > low ? 19 - (18 * (value - low)) / (high - low) : 10;
    return `${x.toFixed(2)},${y.toFixed(2)}`;
  });
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  line.setAttribute("vector-effect", "non-scaling-stroke");
  const title = document.createElementNS(SVG, "title");
  title.textContent = label;
  svg.append(title, line);
  return svg;
};

const clock = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleTimeString() : "–");
const number = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(4));
// Four digits of a number are enough to read; what is no number is left as it is.
const short = (value) => (value !== "" && Number.isFinite(Number(value)) ? String(Number(Number(value).toPrecision(4))) : value);
const logLink = (group, stream, text) => {
  const query = new URLSearchParams({ group, stream });
  return element("a", { href: `_local/log?${query}` }, text);
};

const table = (head, rows, none) => {
  if (rows.length === 0) return element("p", { class: "note" }, none);
  const headRow = element("tr", {}, ...head.map((name) => element("th", { scope: "col", class: "word" }, name)));
  const cells = (row) => row.map((cell, index) => {
    const parts = Array.isArray(cell) ? cell : [cell];
    return index === 0
      ? element("th", { scope: "row", class: "word name" }, ...parts)
      : element("td", { class: "word" }, ...parts);
  });
  const body = rows.map((row) => element("tr", {}, ...cells(row)));
  return element("div", { class: "wide" }, element("table", { class: "figures" }, element("thead", {}, headRow), element("tbody", {}, ...body)));
};

const failure = (text) => (text ? element("span", { class: "failure" }, text) : null);
const spaced = (nodes) => nodes.flatMap((node, index) => (index === 0 ? [node] : [" · ", node]));

const jobRow = (job) => {
  const objective = job.objective.values;
  const last = objective && objective.length > 0 ? number(objective[objective.length - 1]) : "–";
  const links = [];
  if (job.log) links.push(logLink(job.log.group, job.log.stream, "log"));
  if (job.report) links.push(element("a", { href: `_local/reports/${encodeURIComponent(job.name)}` }, "report"));
  const step = job.secondary === job.status ? null : ` ${job.secondary}`;
  return [
    job.name,
    [badge(job.status), step, failure(job.failure)],
    clock(job.created),
    job.seconds ? `${job.seconds} s` : "–",
    [last, " ", curve(objective, `${job.objective.name} after each epoch, now ${last}`)],
    spaced(links),
  ];
};

const trialRow = (job, trial) => {
  const last = trial.reports.length > 0 ? number(trial.reports[trial.reports.length - 1]) : "–";
  const values = Object.entries(trial.values).map(([name, value]) => `${name}=${short(value)}`).join(", ");
  return [
    trial.name,
    [badge(trial.status), trial.name === job.best ? " best" : null, failure(trial.failure)],
    [last, " ", curve(trial.reports, `${job.objective} after each epoch, now ${last}`)],
    values,
  ];
};

const tuningJob = (job) => {
  const heading = element("h3", {}, job.name, " ", badge(job.status), element("span", { class: "note" }, ` since ${clock(job.created)}`));
  const rows = job.trials.map((trial) => trialRow(job, trial));
  return element("div", {}, heading, table(["Trial", "Status", job.objective, "Values"], rows, "No trial yet."));
};

const transformRow = (job) => {
  const seconds = job.started && job.ended ? `${Math.round(job.ended - job.started)} s` : "–";
  const links = job.streams.map((stream) => logLink(job.group, stream, stream.endsWith("/data-log") ? "data log" : "log"));
  return [job.name, [badge(job.status), failure(job.failure)], clock(job.created), seconds, job.model, job.input, spaced(links)];
};

const endpointRows = (endpoint) => endpoint.variants.length === 0
  ? [[endpoint.name, [badge(endpoint.status), failure(endpoint.failure)], "–", "–", "–", endpointLogs(endpoint, "")]]
  : endpoint.variants.map((variant) => {
    const scaling = variant.scaling ? `, scaled from ${variant.scaling.min} to ${variant.scaling.max}` : "";
    const instances = variant.current === variant.desired ? `${variant.current}` : `${variant.current}, ${variant.desired} wanted`;
    const hour = variant.minutes.reduce((sum, count) => sum + count, 0);
    return [
      `${endpoint.name} / ${variant.name}`,
      [badge(endpoint.status), failure(endpoint.failure)],
      endpoint.config,
      `${instances}${scaling}`,
      [`${hour} `, curve(variant.minutes, `Invocations in each of the last 60 minutes, ${hour} in all`)],
      endpointLogs(endpoint, `${variant.name}/`),
    ];
  });

const endpointLogs = (endpoint, prefix) => spaced(
  endpoint.streams.filter((stream) => stream.startsWith(prefix)).slice(-4)
    .map((stream) => logLink(endpoint.group, stream, stream.slice(stream.indexOf("/") + 1).slice(0, 8))),
);

const activityRow = (activity) => [
  activity.ResourceId,
  [badge(activity.StatusCode), failure(activity.StatusCode === "Failed" ? activity.StatusMessage : null)],
  clock(activity.StartTime),
  activity.Description,
  activity.Cause,
];

const tile = (value, label) => element("div", {}, element("strong", {}, String(value)), element("span", {}, label));

const show = (state) => {
  const put = (id, ...nodes) => document.getElementById(id).replaceChildren(...nodes);
  const running = state.training_jobs.filter((job) => ["InProgress", "Stopping"].includes(job.status)).length;
  const serving = state.endpoints.filter((endpoint) => endpoint.status === "InService").length;
  const instances = state.endpoints.flatMap((endpoint) => endpoint.variants).reduce((sum, variant) => sum + variant.current, 0);
  put("tiles", tile(running, "training jobs run"), tile(serving, "endpoints in service"), tile(instances, "instances"));
  put("endpoints", table(["Endpoint / variant", "Status", "Configuration", "Instances", "Invocations in the last hour", "Logs"],
    state.endpoints.flatMap(endpointRows), "None."));
  put("tuning", ...(state.tuning_jobs.length > 0 ? state.tuning_jobs.map(tuningJob) : [element("p", { class: "note" }, "None yet.")]));
  put("jobs", table(["Job", "Status", "Created", "Time", "Objective", ""], state.training_jobs.map(jobRow), "None yet."));
  put("transform", table(["Job", "Status", "Created", "Time", "Model", "Input", "Logs"], state.transform_jobs.map(transformRow), "None yet."));
  put("activities", table(["Variant", "Status", "At", "What", "Why"], state.activities.map(activityRow), "None."));
  document.getElementById("status").textContent = `As of ${clock(state.now)}, by the platform's clock.`;
};

// A table that is redrawn under the pointer or the keyboard's focus would take a link away: it waits.
const isInUse = () => document.activeElement instanceof HTMLAnchorElement || !document.getSelection().isCollapsed;

const look = async () => {
  try {
    if (!isInUse() && !document.hidden) {
      const answer = await fetch("_local/status");
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      show(await answer.json());
    }
  } catch (error) {
    document.getElementById("status").textContent = `Cannot ask the server: ${error.message}. Is it still running?`;
  }
  setTimeout(look, 1000);
};
look();
