// A file of samples, or samples made up, as the server takes them: {t, sensor, nine numbers}.

const NAMES = ['ax', 'ay', 'az', 'gx', 'gy', 'gz', 'mx', 'my', 'mz'];
export const RATE_HZ = 100;
const MOST_BYTES = 256 * 1024 * 1024;

// A recording is {instants, sensors, at(index)}: at gives the samples of one instant.
function fromRows(count, sensors, value, time) {
  const times = time || ((row) => row / RATE_HZ);
  return {
    instants: count, sensors,
    at(row) {
      return Array.from({ length: sensors }, (_, sensor) => {
        const sample = { t: times(row), sensor };
        NAMES.forEach((name, channel) => { sample[name] = value(row, sensor, channel); });
        return sample;
      });
    },
  };
}

// Windows [channels][sensors][samples] one after the other.
function fromWindows(values, windows, channels, sensors, samples) {
  if (channels !== NAMES.length) throw Error(`windows of ${channels} channels; nine are needed`);
  const each = channels * sensors * samples;
  return fromRows(windows * samples, sensors, (row, sensor, channel) =>
    values[Math.floor(row / samples) * each + (channel * sensors + sensor) * samples + (row % samples)]);
}

function parseNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.slice(0, 6)) !== '\x93NUMPY') throw Error('is no npy file');
  const view = new DataView(buffer);
  const long = bytes[6] >= 2;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = long ? 12 : 10;
  const header = new TextDecoder('latin1').decode(bytes.slice(start, start + length));
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const shape = (/'shape':\s*\(([^)]*)\)/.exec(header)?.[1] || '').split(',')
    .map((text) => text.trim()).filter(Boolean).map(Number);
  if (/'fortran_order':\s*True/.test(header)) throw Error('is in Fortran order; save it in C order');
  const Kind = { '<f4': Float32Array, '<f8': Float64Array }[type];
  if (!Kind) throw Error(`holds ${type || 'unknown numbers'}; float32 or float64 is needed`);
  const count = shape.reduce((product, size) => product * size, 1);
  const body = buffer.slice(start + length);
  if (body.byteLength < count * Kind.BYTES_PER_ELEMENT) throw Error('ends before its last number');
  return { values: new Kind(body, 0, count), shape };
}

function recordingOfArray({ values, shape }) {
  const text = shape.join(' × ');
  if (shape.length === 2 && (shape[1] === 9 || shape[1] === 18)) {
    return fromRows(shape[0], shape[1] / 9, (row, sensor, channel) => values[row * shape[1] + sensor * 9 + channel]);
  }
  if (shape.length === 3 && shape[1] <= 2 && shape[2] === 9) {
    return fromRows(shape[0], shape[1], (row, sensor, channel) => values[(row * shape[1] + sensor) * 9 + channel]);
  }
  if (shape.length === 4) return fromWindows(values, ...shape);
  throw Error(`is an array of ${text}; samples × 9, samples × 18, samples × 2 × 9 or `
    + 'windows × 9 × sensors × samples is needed');
}

function columnsOf(names) {
  const find = (name) => names.indexOf(name);
  const sensor = (suffix) => NAMES.map((name) => find(name + suffix));
  const first = sensor('').includes(-1) ? sensor('1') : sensor('');
  if (first.includes(-1)) throw Error(`names columns ${names.slice(0, 6).join(', ')}…; ${NAMES.join(', ')} are needed`);
  const second = sensor('2');
  const seconds = find('t') >= 0 ? find('t') : find('time');
  return { sensors: second.includes(-1) ? [first] : [first, second], seconds, ms: find('timestamp_ms'),
    which: find('sensor') };
}

function parseCsv(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith('#'));
  if (lines.length === 0) throw Error('is empty');
  const cells = (line) => line.split(/[,;\t]/).map((cell) => cell.trim());
  const head = cells(lines[0]);
  const named = head.some((cell) => cell !== '' && Number.isNaN(Number(cell)));
  const body = named ? lines.slice(1) : lines;
  if (body.length === 0) throw Error('holds a header and no samples');
  const rows = body.map((line, index) => {
    const row = cells(line).map(Number);
    if (row.length !== head.length || row.some((value, column) => Number.isNaN(value) && !(named && /label|subject|activity/.test(head[column])))) {
      throw Error(`line ${index + 1 + (named ? 1 : 0)} is not ${head.length} numbers`);
    }
    return row;
  });
  if (named && head.includes('ax') || head.includes('ax1')) return ofColumns(rows, columnsOf(head));
  const extra = named ? head.filter((name) => /label|subject|activity/.test(name)).length : 0;
  const width = head.length - extra;
  if (width === 9 || width === 18) return fromRows(rows.length, width / 9, (r, s, c) => rows[r][extra + 9 * s + c]);
  if (width % 900 === 0 && width <= 1800) {
    const values = rows.flatMap((row) => row.slice(extra));
    return fromWindows(values, rows.length, 9, width / 900, 100);
  }
  throw Error(`has ${width} columns; nine, 18, a header naming ${NAMES.slice(0, 3).join(', ')}…, or windows are needed`);
}

function ofColumns(rows, columns) {
  const time = columns.ms >= 0 ? (row) => rows[row][columns.ms] / 1000
    : columns.seconds >= 0 ? (row) => rows[row][columns.seconds] : null;
  if (columns.which < 0) {
    return fromRows(rows.length, columns.sensors.length, (r, s, c) => rows[r][columns.sensors[s][c]], time);
  }
  // A line per sensor and instant.
  const bySensor = [0, 1].map((which) => rows.filter((row) => row[columns.which] === which));
  const sensors = bySensor[1].length > 0 ? 2 : 1;
  const count = Math.min(...bySensor.slice(0, sensors).map((list) => list.length));
  const at = columns.ms >= 0 ? (r) => bySensor[0][r][columns.ms] / 1000
    : columns.seconds >= 0 ? (r) => bySensor[0][r][columns.seconds] : null;
  return fromRows(count, sensors, (r, s, c) => bySensor[s][r][columns.sensors[0][c]], at);
}

export async function readRecording(file) {
  if (file.size > MOST_BYTES) throw Error('is larger than 256 MB');
  if (file.name.endsWith('.npy')) return recordingOfArray(parseNpy(await file.arrayBuffer()));
  return parseCsv(await file.text());
}

// Sines of a few ways to move, one after the other; each holds for 9 s. Not a person's signals.
const WAYS = [
  { hz: 0.25, swing: 0.15, turn: 0.03, tilt: [9.6, 1.6, 0.6] },
  { hz: 1.8, swing: 3.0, turn: 1.1, tilt: [9.2, -0.7, 2.2] },
  { hz: 2.7, swing: 9.0, turn: 2.6, tilt: [8.8, -1.2, 2.6] },
  { hz: 0.2, swing: 0.1, turn: 0.02, tilt: [-0.5, 1.2, 9.6] },
  { hz: 1.1, swing: 1.6, turn: 1.9, tilt: [5.1, 0.6, 8.1] },
];
export function simulated() {
  return fromRows(Infinity, 2, (row, sensor, channel) => {
    const t = row / RATE_HZ;
    const way = WAYS[Math.floor(t / 9) % WAYS.length];
    const phase = 2 * Math.PI * way.hz * t + sensor * 0.9 + channel * 0.7;
    const noise = Math.sin(row * 12.9898 + channel * 78.233 + sensor * 37.7) * 0.05;
    const wave = Math.sin(phase) + 0.4 * Math.sin(2 * phase + 1);
    if (channel < 3) return way.tilt[channel] + way.swing * wave * (1 - 0.25 * channel) + noise;
    if (channel < 6) return way.turn * wave * (0.4 + 0.3 * (channel - 3)) + 0.1 * noise;
    return [-0.6, -0.7, 0.25][channel - 6] + 0.15 * way.tilt[channel - 6] / 9.81 + 0.1 * noise;
  });
}
