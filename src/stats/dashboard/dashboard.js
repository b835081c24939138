// The page of VES: figures come as events of /events, one a second. Whatever came from a log, a
// file name or a server goes into the page as text only.
"use strict";

(() => {
  const SPAN_SECONDS = 300;
  const SPAN_SECONDS_MIN = 60;
  const GAP_SECONDS = 3.5;
  // Text of a chart is drawn by the canvas, which does not know the page's font.
  const CHART_FONT = "11px system-ui, 'Liberation Sans', Arial, sans-serif";

  const byId = (id) => document.getElementById(id);

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // Touches the page only where something changes: a selection stays.
  function say(where, text) {
    if (where.textContent !== text) where.textContent = text;
  }

  // --- Figures as people write them. ---

  function scaled(value, steps) {
    if (value === null || value === undefined) return "-";
    const [size, unit] = steps.find(([size]) => Math.abs(value) >= size) || steps[steps.length - 1];
    const number = value / size;
    const digits = number === 0 || Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
    return String(Number(number.toFixed(digits))) + unit;
  }
  const count = (value) => scaled(value, [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]]);
  const bytes = (value) => scaled(value, [[1e12, " TB"], [1e9, " GB"], [1e6, " MB"], [1e3, " kB"], [1, " B"]]);
  const micros = (value) => scaled(value, [[1e6, " s"], [1e3, " ms"], [1, " \u00b5s"]]);
  const percent = (value) => (value === null || value === undefined ? "-" : value.toFixed(value < 10 ? 1 : 0) + "%");
  const rate = (value) => (value === null || value === undefined ? "-" : count(value) + "/s");
  const exact = (value) => value.toLocaleString("en-GB").replaceAll(",", "\u202f");

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "-";
    if (seconds < 1) return "0 s";
    if (seconds < 120) return Math.floor(seconds) + " s";
    if (seconds < 7200) return Math.floor(seconds / 60) + " min";
    return Math.floor(seconds / 3600) + " h";
  }

  // --- Charts. ---

  const perBatch = (sample) => (sample.batches > 0 ? sample.records / sample.batches : null);
  const CHARTS = [
    { id: "throughput", title: "Throughput", format: rate, least: 10, series: [
      ["lines read", "blue", (s) => s.lines], ["records shipped", "green", (s) => s.records]] },
    { id: "cpu", title: "CPU, of one core", format: percent, least: 5, series: [["used", "orange", (s) => s.cpu_percent]] },
    { id: "latency", title: "Latency, read to hand-over", format: micros, least: 100, series: [
      ["p50", "blue", (s) => s.p50_us], ["p99", "violet", (s) => s.p99_us]] },
    { id: "memory", title: "Memory", format: bytes, series: [["resident", "green", (s) => s.rss_bytes]] },
    { id: "lag", title: "Lag", format: bytes, least: 1000, series: [["not delivered", "red", (s) => s.lag_bytes]] },
    { id: "stages-chart", title: "Stages", format: rate, least: 10, series: [
      ["parsed", "blue", (s) => s.parsed], ["filtered", "violet", (s) => s.filtered],
      ["parse errors", "red", (s) => s.parse_errors], ["empty", "orange", (s) => s.empty],
      ["cut", "green", (s) => s.truncated]] },
    { id: "sink", title: "Slowest sink", format: micros, least: 100, series: [
      ["flush p50", "blue", (s) => s.flush_p50_us], ["flush p99", "violet", (s) => s.flush_p99_us]] },
    { id: "batches", title: "Records per batch", format: count, least: 10, series: [["mean", "green", perBatch]] },
  ];

  let samples = [];
  const charts = [];

  function colour(of, property = "color") {
    return getComputedStyle(of)[property];
  }

  function makeChart(definition) {
    const card = element("div", "chart");
    const title = element("h2", "", definition.title);
    const keys = element("div", "keys");
    const plot = element("div", "plot");
    plot.id = "chart-" + definition.id;
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", definition.title);
    const dots = [];
    const values = definition.series.map(([name, tint]) => {
      const key = element("span");
      const value = element("b");
      dots.push(element("i", "dot " + tint));
      key.append(dots[dots.length - 1], name + " ", value);
      keys.append(key);
      return value;
    });
    card.append(title, keys, plot);
    byId("charts").append(card);

    const axis = {
      stroke: () => colour(keys),
      font: CHART_FONT,
      grid: { stroke: () => colour(card, "borderTopColor"), width: 1 },
      ticks: { show: false },
    };
    const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);
    const chart = { title, plot, values, definition, data: [[]], u: null };
    chart.u = new uPlot({
      width: plot.clientWidth || 300,
      height: 170,
      // Half of the last label of the time is right of its line.
      padding: [8, 26, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { range: (_, min, max) => [max - Math.min(SPAN_SECONDS, Math.max(SPAN_SECONDS_MIN, max - min)), max] },
        y: { range: (_, __, max) => [0, Math.max(definition.least || 1, max * 1.1)] },
      },
      axes: [
        { ...axis, space: 70, size: 22, values: (_, splits) => splits.map(clock) },
        { ...axis, size: 62, space: 32, values: (_, splits) => splits.map((v) => definition.format(v)) },
      ],
      series: [{}, ...definition.series.map(([name], index) => ({
        label: name,
        width: 1.75,
        stroke: () => colour(dots[index]),
        points: { show: (u, series) => isLonely(u.data[series]), size: 4 },
        spanGaps: false,
      }))],
      hooks: { setCursor: [() => showValues(chart)] },
    }, emptyData(definition), plot);
    new ResizeObserver(() => {
      if (plot.clientWidth > 0) chart.u.setSize({ width: plot.clientWidth, height: 170 });
    }).observe(plot);
    return chart;
  }

  // A single value between gaps has no line: then points are drawn.
  function isLonely(column) {
    const has = (index) => column[index] !== null && column[index] !== undefined;
    return column.some((_, index) => has(index) && !has(index - 1) && !has(index + 1));
  }

  function emptyData(definition) {
    return [[], ...definition.series.map(() => [])];
  }

  function showValues(chart) {
    const index = chart.u.cursor.idx;
    const { format, series } = chart.definition;
    chart.values.forEach((value, number) => {
      const column = chart.u.data[number + 1];
      const hovered = index === null || index === undefined ? undefined : column[index];
      const last = samples.length ? series[number][2](samples[samples.length - 1]) : null;
      say(value, format(hovered === undefined ? last : hovered));
    });
  }

  function drawCharts() {
    // A null where seconds are missing breaks the line.
    const rows = [];
    for (const sample of samples) {
      const before = rows.length ? rows[rows.length - 1][0] : null;
      const at = sample.at_ms / 1000;
      if (before !== null && at - before > GAP_SECONDS) rows.push([before + 1, null]);
      rows.push([at, sample]);
    }
    const times = rows.map(([at]) => at);
    for (const chart of charts) {
      const columns = chart.definition.series.map(([, , value]) =>
        rows.map(([, sample]) => (sample === null ? null : value(sample))));
      chart.u.setData([times, ...columns]);
      showValues(chart);
    }
  }

  function keepSamples(more) {
    const begin = more.length ? more[0].at_ms : Infinity;
    samples = samples.filter((sample) => sample.at_ms < begin).concat(more);
    const newest = samples.length ? samples[samples.length - 1].at_ms : 0;
    samples = samples.filter((sample) => sample.at_ms > newest - SPAN_SECONDS * 1000);
  }

  // --- Tiles and tables. ---

  const TILES = [
    ["Throughput", (second) => rate(second.sample.lines)],
    ["CPU", (second) => percent(second.sample.cpu_percent)],
    ["Latency p99", (second) => micros(second.sample.p99_us)],
    ["Memory", (second) => bytes(second.sample.rss_bytes)],
    ["Lag", (second) => bytes(second.sample.lag_bytes)],
    ["Behind for", (second) => duration(second.sample.lag_seconds)],
    ["Shipped", (second) => bytes(second.totals.shipped_bytes)],
    ["Files", (second) => exact(second.files_followed)],
  ];
  const tiles = TILES.map(([name]) => {
    const tile = element("dl", "tile");
    const value = element("dd", "", "-");
    tile.append(element("dt", "", name), value);
    byId("tiles").append(tile);
    return value;
  });

  const STAGES = [
    ["Lines read", "lines", "lines"],
    ["Parsed", "parsed", "parsed"],
    ["Parse errors", "parse_errors", "parse_errors"],
    ["Dropped by filter", "filtered", "filtered"],
    ["Empty", "empty", "empty"],
    ["Cut", "truncated", "truncated"],
    ["Records shipped", "records", "records"],
    ["Bytes lost unread", "unread_bytes", null],
    ["Files gone unopened", "files_missed", null],
  ];

  // Brings a table in step with rows of texts; `key` tells which row is which.
  function fillTable(body, rows) {
    const labels = [...body.parentElement.tHead.rows[0].cells].map((cell) => cell.textContent);
    const present = new Map([...body.rows].map((row) => [row.key, row]));
    rows.forEach(({ key, className, cells }, index) => {
      let row = present.get(key);
      if (!row) {
        row = element("tr");
        row.key = key;
        row.append(...cells.map((_, column) => {
          const cell = element("td");
          // A narrow page has no room for the head of the table.
          cell.dataset.label = labels[column];
          return cell;
        }));
      }
      present.delete(key);
      row.className = className || "";
      cells.forEach((text, column) => say(row.cells[column], text));
      if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
    });
    for (const row of present.values()) row.remove();
  }

  const bodyOf = (id) => byId(id).tBodies[0];

  function showSecond(second) {
    TILES.forEach(([, value], index) => say(tiles[index], value(second)));
    fillTable(bodyOf("stages"), STAGES.map(([name, total, perSecond]) => ({
      key: name,
      cells: [name, exact(second.totals[total]), perSecond ? rate(second.sample[perSecond]) : ""],
    })));
    fillTable(bodyOf("queues"), second.queues.map((queue) => ({
      key: queue.name,
      cells: [queue.name, exact(queue.length), exact(queue.capacity)],
    })));
    // Those that lag first, the others where they were.
    const late = (file) => file.lag_seconds >= 2;
    const files = [...second.files].sort((a, b) => late(b) - late(a) || (a.path < b.path ? -1 : 1));
    fillTable(bodyOf("files"), files.map((file) => ({
      key: file.inode + " " + file.path,
      className: (late(file) ? "lagging " : "") + (file.is_rotated ? "rotated" : ""),
      cells: [file.path, bytes(file.size_bytes), exact(file.delivered_bytes),
        file.lag_bytes ? bytes(file.lag_bytes) : "0", file.lag_bytes ? duration(file.lag_seconds) : ""],
    })));
    byId("files-none").hidden = second.files.length > 0;
    byId("files").hidden = second.files.length === 0;
    const shown = second.files.length < second.files_followed ? `, ${second.files.length} shown` : "";
    const failing = second.files_failing ? `, ${exact(second.files_failing)} cannot be used` : "";
    say(byId("files-count"), `${exact(second.files_followed)}${shown}${failing}`);
    const notes = [`work units in flight: ${exact(second.in_flight)}`, `retries of the sink: ${exact(second.sink_retries)}`];
    if (second.checkpoint_age_seconds !== null) {
      notes.push(`checkpoint ${second.checkpoint_age_seconds < 3 ? "fresh" : duration(second.checkpoint_age_seconds) + " old"}`);
    }
    say(byId("notes"), notes.join(" \u00b7 "));
    const sinkChart = charts.find((chart) => chart.definition.id === "sink");
    say(sinkChart.title, `Slowest sink: ${second.sink}`);
    const trouble = byId("trouble");
    trouble.hidden = !second.trouble;
    say(trouble, second.trouble || "");
    if (second.trouble) setState("stalled", "bad");
    else if (second.sink_failing_seconds !== null) setState("sink failing", "wait");
    else setState("flowing", "good");
  }

  function showMessages(messages) {
    byId("messages-none").hidden = messages.length > 0;
    byId("messages").replaceChildren(...[...messages].reverse().map((message) => {
      const item = element("li");
      const at = new Date(message.at_ms);
      const time = element("time", "", at.toLocaleString("sv-SE"));
      time.dateTime = at.toISOString();
      const times = message.count > 1 ? ` (${exact(message.count)} times)` : "";
      item.append(time, element("span", message.level === "error" ? "error" : "warn", message.level),
        element("span", "", message.message), element("span", "quiet", times));
      return item;
    }));
  }

  // --- Theme. ---

  const THEMES = ["auto", "light", "dark"];

  function setTheme(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    say(byId("theme"), `Theme: ${theme}`);
    for (const chart of charts) chart.u.redraw(false);
  }

  function storedTheme() {
    try {
      const theme = localStorage.getItem("theme");
      return THEMES.includes(theme) ? theme : "auto";
    } catch {
      return "auto";
    }
  }

  byId("theme").addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "auto") + 1) % THEMES.length];
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Without a store it holds until the page is closed.
    }
    setTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(storedTheme()));

  // --- The stream. ---

  function setState(text, kind) {
    say(byId("state"), text);
    byId("state").className = "pill " + kind;
  }

  function connect() {
    const events = new EventSource("/events");
    events.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      say(byId("host"), `on ${hello.host}`);
      document.title = `VES on ${hello.host}`;
      say(byId("about"), `version ${hello.version}, process ${hello.pid}`);
      say(byId("config"), hello.config);
      setState("connected", "good");
      keepSamples(hello.samples);
      showMessages(hello.messages);
      drawCharts();
    });
    events.addEventListener("second", (event) => {
      const second = JSON.parse(event.data);
      keepSamples([second.sample]);
      showSecond(second);
      drawCharts();
    });
    events.addEventListener("messages", (event) => showMessages(JSON.parse(event.data)));
    events.addEventListener("error", () => {
      setState("no connection", "wait");
      // The browser tries again by itself, but not after an answer that is no stream.
      if (events.readyState === EventSource.CLOSED) {
        events.close();
        setTimeout(connect, 2000);
      }
    });
  }

  charts.push(...CHARTS.map(makeChart));
  setTheme(storedTheme());
  connect();
})();
