// The page: what the server says, on the screen. Data come over one WebSocket; what is older than the
// connection is fetched once.
import { applyTheme, colourOf, drawCodes, drawLatency, drawProbabilities, drawRibbon, drawSignal,
  makeCharts, quantileText } from './charts.js';
import { fetchJson, keyStore, openFeed } from './feed.js';
import { setUpTrying } from './trying.js';

const KEPT_WINDOWS = 600, RIBBON_SECONDS = 60, SIGNAL_SECONDS = 10, DRAWS_PER_SECOND = 8;
const $ = (id) => document.getElementById(id);
const text = (tag, content, attributes = {}) => {
  const element = Object.assign(document.createElement(tag), { textContent: content });
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const state = { session: null, shown: null, labels: [], hopSeconds: 0.5, windows: [], signals: [], status: null,
  sessions: [], changed: new Set() };
const charts = makeCharts((id) => $(id));

// ---- what came in ----

function clearSession() {
  Object.assign(state, { session: null, windows: [], signals: [] });
  touch('session', 'signals', 'sessions');
}

// Shows a session: its past by a request, then what comes.
async function show(id) {
  if (state.session && state.session !== id) feed.send({ type: 'unsubscribe', session_id: state.session });
  Object.assign(state, { session: id, windows: [], signals: [] });
  touch('session', 'signals', 'sessions');
  feed.send({ type: 'subscribe', session_id: id, signals: true });
  try {
    const past = await fetchJson(`/api/v1/sessions/${id}?windows=${KEPT_WINDOWS}&signal_ms=${1000 * SIGNAL_SECONDS}`);
    if (state.session !== id) return;
    state.labels = past.labels;
    state.hopSeconds = past.hop_ms / 1000;
    const newer = state.windows.filter((w) => !past.windows.some((p) => p.number === w.number));
    state.windows = [...past.windows, ...newer];
    if (state.signals.length === 0) addSignals(past.signals);
    drawLegend();
    touch('session', 'signals');
  } catch (error) {
    if (error.status === 404 && state.session === id) clearSession();
    else complain(error);
  }
}

function addWindow(window) {
  const last = state.windows[state.windows.length - 1];
  if (last && window.number <= last.number && window.start_ms >= last.start_ms) return;
  // A clock that was set begins a new line of time.
  if (last && window.end_ms < last.end_ms) state.windows = [];
  state.windows.push(window);
  if (state.windows.length > KEPT_WINDOWS) state.windows.shift();
  touch('session');
}

function addSignals(signals) {
  const count = signals.sensors[0]?.accel[0].length || 0;
  for (let i = 0; i < count; ++i) {
    const t = (signals.start_ms + i * signals.step_ms) / 1000;
    const last = state.signals[state.signals.length - 1];
    if (last && t < last.t - SIGNAL_SECONDS) state.signals = [];
    else if (last && t <= last.t) continue;
    state.signals.push({ t, sensors: signals.sensors.map((sensor) =>
      ({ accel: sensor.accel.map((axis) => axis[i]), gyro: sensor.gyro.map((axis) => axis[i]),
        mag: sensor.mag.map((axis) => axis[i]) })) });
  }
  const end = state.signals[state.signals.length - 1]?.t || 0;
  while (state.signals.length > 0 && state.signals[0].t < end - SIGNAL_SECONDS) state.signals.shift();
  touch('signals');
}

function takeStatus(message) {
  state.status = message.status;
  state.sessions = message.sessions.sessions;
  const open = state.sessions.map((session) => session.id);
  if (state.session && !open.includes(state.session)) clearSession();
  if (!state.session && open.length > 0) {
    show(open.includes(state.shown) ? state.shown : open[open.length - 1]);
  }
  touch('status', 'sessions');
}

const handlers = {
  status_update: takeStatus,
  behavioral_update: (m) => { if (m.session_id === state.session) addWindow(m.data.window); },
  signal_update: (m) => { if (m.session_id === state.session) addSignals(m.signals); },
  session_ended: (m) => { if (m.session_id === state.session) clearSession(); },
  error: (m) => {
    if (m.status === 401 || m.status === 403) askForKey();
  },
};

const feed = openFeed({
  open() {
    // The list that comes says whether the session that was shown is still there.
    state.shown = state.session;
    clearSession();
    feed.send({ type: 'subscribe', feed: 'status' });
    trying.opened();
  },
  message(message) {
    handlers[message.type]?.(message);
    trying.message(message);
  },
  state(name) {
    $('connection').dataset.state = name;
    $('connection').textContent = name === 'open' ? 'connected' : 'connecting…';
    if (name !== 'open') trying.closed();
  },
});
const trying = setUpTrying({ $, feed, show, sayWrong: complain });

function complain(error) {
  if (error.status === 401 || error.status === 403) return askForKey();
  $('try-said').className = 'wrong';
  $('try-said').textContent = error.detail || error.message || String(error);
}

function askForKey() {
  $('key-form').hidden = false;
  $('key').focus();
}
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  keyStore.set($('key').value);
  $('key').value = '';
  $('key-form').hidden = true;
  feed.reconnect();
});

// ---- drawing, at most a few times a second and only while somebody looks ----

function touch(...what) { what.forEach((each) => state.changed.add(each)); }

const draws = {
  session: drawSession, signals: drawSignals, sessions: drawSessions, status: drawStatus,
};
setInterval(() => {
  if (document.hidden) return;
  for (const what of state.changed) {
    state.changed.delete(what);
    draws[what]();
  }
}, 1000 / DRAWS_PER_SECOND);

function setText(id, content) { if ($(id).textContent !== content) $(id).textContent = content; }

function drawSession() {
  const now = state.windows[state.windows.length - 1];
  setText('label', now ? (now.hsmm ? state.labels[now.hsmm.state] ?? '–' : now.label) : '–');
  const facts = [];
  if (now) {
    if (now.hsmm) facts.push(`for ${now.hsmm.elapsed_at_least ? 'at least ' : ''}${(now.hsmm.elapsed_ms / 1000).toFixed(1)} s`);
    facts.push(`window: ${now.label}, ${(100 * now.confidence).toFixed(0)} %`, now.engine,
      `answered in ${now.latency_ms.toFixed(1)} ms`);
    if (now.fallback_reason) facts.push(`fell back: ${now.fallback_reason}`);
    if (now.drift) facts.push(now.drift.alarm ? 'drift alarm' : 'no drift');
  }
  setText('facts', facts.join(' · '));
  drawRibbon(charts.ribbon, state, RIBBON_SECONDS);
  drawProbabilities(charts.probabilities, state.labels, now);
  drawCodes(charts.codes, state.windows, RIBBON_SECONDS);
  const set = now?.conformal_set;
  setText('set', set ? `✓ cannot be excluded: ${set.map((i) => state.labels[i]).join(', ') || 'none fits'}` : '');
  setText('digits', now?.fsq_digits ? `digits ${now.fsq_digits.join(' ')} · code ${now.fsq_code}` : '');
  describe('ribbon', state.windows.length > 0 ? `Behaviours of the last minute, now ${$('label').textContent}` : 'Behaviours over time');
  describe('probabilities', now ? `Probabilities: ${state.labels.map((label, i) => `${label} ${(100 * now.probabilities[i]).toFixed(0)} %`).join(', ')}` : 'Probabilities');
}

function describe(id, words) { $(id).setAttribute('aria-label', words); }

function drawSignals() {
  const quantity = $('quantity').value;
  const times = state.signals.map((instant) => instant.t);
  for (const sensor of [0, 1]) {
    const axes = [0, 1, 2].map((axis) => state.signals.map((instant) => instant.sensors[sensor]?.[quantity][axis] ?? null));
    drawSignal(charts[`signal${sensor}`], axes, times);
  }
}

function drawLegend() {
  $('legend').replaceChildren(...state.labels.map((label, index) => {
    const item = document.createElement('li'), mark = document.createElement('i');
    mark.style.background = colourOf(index);
    item.append(mark, label);
    return item;
  }));
}

function drawSessions() {
  $('no-sessions').hidden = state.sessions.length > 0;
  const focused = document.activeElement?.dataset?.session;
  $('sessions').replaceChildren(...state.sessions.slice(-50).reverse().map((session) => {
    const item = document.createElement('li');
    const button = text('button', session.state?.label || 'waiting', { type: 'button',
      'aria-pressed': String(session.id === state.session), 'data-session': session.id });
    button.append(text('small', `${session.id.slice(0, 8)} · ${session.model} · ${session.windows} windows`
      + (session.waiting_for ? ` · ${session.waiting_for}` : '')));
    button.addEventListener('click', () => show(session.id));
    item.append(button);
    return item;
  }));
  if (focused) document.querySelector(`[data-session="${focused}"]`)?.focus();
}

function drawStatus() {
  const { status } = state;
  const sessions = `${status.sessions} session${status.sessions === 1 ? '' : 's'}`;
  setText('server', `${sessions} · ${status.queue_waiting} windows wait · up `
    + `${Math.floor(status.uptime_s / 60)} min${status.draining ? ' · shutting down' : ''}`);
  $('engines').replaceChildren(...status.engines.map((engine) => {
    const row = document.createElement('tr');
    row.append(text('td', `${engine.model} ${engine.version}`), text('td', engine.engine),
      text('td', engine.state, { 'data-state': engine.state }), text('td', engine.reason));
    return row;
  }));
  const events = [...status.fallback_events].reverse();
  $('no-fallbacks').hidden = events.length > 0;
  $('fallbacks').replaceChildren(...events.map((event) => text('li',
    `${new Date(event.at).toLocaleTimeString()} ${event.model}: ${event.reason}`
    + `${event.count > 1 ? `, ${event.count} windows` : ''}${event.engine ? `, ${event.engine} answered` : ''}`)));
  const histogram = status.latency[$('stage').value];
  if (histogram?.bounds_s) {
    drawLatency(charts.latency, histogram);
    setText('quantiles', histogram.count > 0
      ? `p50 ${quantileText(histogram, 0.5)}, p99 ${quantileText(histogram, 0.99)} of ${histogram.count}` : '');
  }
}

// ---- controls ----

$('quantity').addEventListener('change', () => touch('signals'));
$('stage').addEventListener('change', () => touch('status'));
const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => applyTheme(charts));
$('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : dark.matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
  try { localStorage.setItem('theme', root.dataset.theme); } catch (error) { /* this visit only */ }
  applyTheme(charts);
});
