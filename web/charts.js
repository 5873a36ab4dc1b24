// The charts, drawn by Chart.js (window.Chart) from plain arrays.

// Okabe and Ito's colours, told apart by colour-blind people too; then darker ones.
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442', '#7f7f7f',
  '#6a3d9a', '#b15928', '#1b9e77', '#e7298a', '#66a61e', '#a6761d', '#4b4b9e', '#c44e52'];
const AXES = ['#0072b2', '#d55e00', '#009e73'];
export const colourOf = (index) => COLOURS[index % COLOURS.length];
const faded = (colour) => `${colour}55`;

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function base(extra) {
  return {
    animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
    plugins: { legend: { display: false }, ...(extra.plugins || {}) },
    scales: extra.scales,
    interaction: { intersect: false, mode: 'nearest' },
    ...(extra.options || {}),
  };
}

const secondsAxis = (title) => ({ type: 'linear', title: { display: !!title, text: title },
  ticks: { maxRotation: 0, callback: (value) => `${Math.round(value * 10) / 10}` } });

export function makeCharts(canvas) {
  const { Chart } = window;
  const make = (id, type, datasets, extra, labels) =>
    new Chart(canvas(id), { type, data: { labels: labels || [], datasets }, options: base(extra) });

  const segmentTip = { callbacks: {
    title: () => '',
    label: (item) => `${item.raw.label}, ${(item.raw.x[1] - item.raw.x[0]).toFixed(1)} s`,
  } };
  const charts = {
    ribbon: make('ribbon', 'bar', [{ data: [], backgroundColor: [], barPercentage: 0.9,
      categoryPercentage: 0.9, grouped: false, borderSkipped: false }], {
      plugins: { legend: { display: false }, tooltip: segmentTip },
      options: { indexAxis: 'y' },
      scales: { x: { ...secondsAxis('seconds of the recording') },
        y: { type: 'category', labels: ['HSMM', 'windows'], grid: { display: false } } },
    }, ['HSMM', 'windows']),
    probabilities: make('probabilities', 'bar', [{ data: [], backgroundColor: [], borderWidth: 1 }], {
      options: { indexAxis: 'y' },
      scales: { x: { min: 0, max: 1, title: { display: true, text: 'probability' } },
        y: { type: 'category', grid: { display: false }, ticks: { autoSkip: false } } },
    }),
    codes: make('codes', 'line', [{ data: [], stepped: true, pointRadius: 2, borderWidth: 1.5,
      borderColor: AXES[0], backgroundColor: AXES[0] }], {
      scales: { x: secondsAxis('seconds of the recording'),
        y: { title: { display: true, text: 'code' }, ticks: { precision: 0 } } },
    }),
    latency: make('latency', 'bar', [{ data: [], backgroundColor: AXES[0], categoryPercentage: 1,
      barPercentage: 0.95 }], {
      scales: { x: { title: { display: true, text: 'at most' }, ticks: { maxRotation: 60 } },
        y: { beginAtZero: true, title: { display: true, text: 'windows' }, ticks: { precision: 0 } } },
    }),
  };
  for (const sensor of [0, 1]) {
    charts[`signal${sensor}`] = make(`signal${sensor}`, 'line', ['x', 'y', 'z'].map((name, axis) => ({
      label: name, data: [], borderColor: AXES[axis], backgroundColor: AXES[axis], borderWidth: 1.3,
      pointRadius: 0, spanGaps: false })), {
      plugins: { legend: { display: sensor === 0, position: 'top', align: 'end',
        labels: { boxWidth: 10, boxHeight: 10, padding: 6 } } },
      scales: { x: secondsAxis(sensor === 1 ? 'seconds of the recording' : ''),
        y: { title: { display: true, text: `sensor ${sensor + 1}` } } },
    });
  }
  applyTheme(charts);
  return charts;
}

// Colours of text and lines follow the page's.
export function applyTheme(charts) {
  const ink = variable('--ink'), line = variable('--line');
  for (const chart of Object.values(charts)) {
    for (const scale of Object.values(chart.options.scales)) {
      scale.ticks = { ...scale.ticks, color: ink };
      if (scale.title) scale.title.color = ink;
      scale.grid = { ...scale.grid, color: line, borderColor: line };
    }
    chart.options.plugins.legend.labels = { ...chart.options.plugins.legend.labels, color: ink };
    chart.update('none');
  }
}

// Runs of windows with the same value of `of`, each with its time and label. A window speaks for the
// time from the end of the one before it, a hop; where windows were skipped nothing is drawn.
function runs(windows, hopSeconds, of, row) {
  const found = [];
  for (const window of windows) {
    const what = of(window);
    if (!what) continue;
    const end = window.end_ms / 1000, begin = end - hopSeconds;
    const last = found[found.length - 1];
    if (last && last.index === what.index && begin - last.x[1] < 0.05) last.x[1] = end;
    else found.push({ x: [begin, end], y: row, index: what.index, label: what.label });
  }
  return found;
}

function segmentsOf({ windows, hopSeconds, labels }) {
  const hsmm = runs(windows, hopSeconds, (w) => w.hsmm && { index: w.hsmm.state, label: labels[w.hsmm.state] }, 'HSMM');
  const plain = runs(windows, hopSeconds, (w) => ({ index: w.class, label: w.label }), 'windows');
  return { hsmm, plain };
}

// `session` is {windows, hopSeconds, labels}.
export function drawRibbon(chart, session, spanSeconds) {
  const { hsmm, plain } = segmentsOf(session);
  const all = [...hsmm, ...plain];
  chart.data.datasets[0].data = all;
  chart.data.datasets[0].backgroundColor = all.map((segment) => colourOf(segment.index));
  const rows = hsmm.length > 0 ? ['HSMM', 'windows'] : ['windows'];
  chart.data.labels = rows;
  chart.options.scales.y.labels = rows;
  setSpan(chart, session.windows, spanSeconds);
  chart.update('none');
}

function setSpan(chart, windows, spanSeconds) {
  const end = windows.length > 0 ? windows[windows.length - 1].end_ms / 1000 : spanSeconds;
  chart.options.scales.x.max = end;
  chart.options.scales.x.min = end - spanSeconds;
}

export function drawProbabilities(chart, labels, window) {
  const set = window && window.conformal_set;
  const inSet = (index) => (set ? set.includes(index) : window && index === window.class);
  chart.data.labels = labels.map((label, index) => (set && inSet(index) ? `✓ ${label}` : label));
  const data = chart.data.datasets[0];
  data.data = window ? window.probabilities : [];
  data.backgroundColor = labels.map((_, i) => (inSet(i) ? colourOf(i) : faded(colourOf(i))));
  data.borderColor = labels.map((_, i) => colourOf(i));
  chart.update('none');
}

export function drawCodes(chart, windows, spanSeconds) {
  chart.data.datasets[0].data = windows.filter((window) => window.fsq_code !== undefined)
    .map((window) => ({ x: window.end_ms / 1000, y: window.fsq_code }));
  setSpan(chart, windows, spanSeconds);
  chart.update('none');
}

export function drawSignal(chart, axes, times) {
  axes.forEach((values, axis) => {
    chart.data.datasets[axis].data = values.map((y, i) => ({ x: times[i], y }));
  });
  if (times.length > 0) {
    chart.options.scales.x.max = times[times.length - 1];
    chart.options.scales.x.min = times[0];
  }
  chart.update('none');
}

const durationText = (seconds) => (seconds < 1e-3 ? `${+(seconds * 1e6).toPrecision(3)} µs`
  : seconds < 1 ? `${+(seconds * 1e3).toPrecision(3)} ms` : `${+seconds.toPrecision(3)} s`);

// The upper bound of the bucket that holds the quantile, as text.
export function quantileText(histogram, share) {
  let seen = 0;
  for (let i = 0; i < histogram.counts.length; ++i) {
    seen += histogram.counts[i];
    if (seen >= share * histogram.count && histogram.count > 0) {
      return i < histogram.bounds_s.length ? `≤ ${durationText(histogram.bounds_s[i])}`
        : `> ${durationText(histogram.bounds_s[i - 1])}`;
    }
  }
  return '';
}

export function drawLatency(chart, histogram) {
  const bounds = histogram.bounds_s.map(durationText);
  chart.data.labels = [...bounds, `> ${bounds[bounds.length - 1] || ''}`];
  chart.data.datasets[0].data = histogram.counts;
  chart.update('none');
}
