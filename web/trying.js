// "Try it": simulated samples or those of a file, sent over the same connection as everything else.
import { RATE_HZ, readRecording, simulated } from './recording.js';

const TICK_MS = 100, MOST_BEHIND = 20;

export function setUpTrying({ $, feed, show, sayWrong }) {
  // What is being sent: {recording, name, session, next, unanswered} or null.
  let sending = null, timer = 0;

  function say(words) {
    $('try-said').className = '';
    $('try-said').textContent = words;
  }

  function begin(recording, name) {
    stop();
    sending = { recording, name, session: null, next: 0, unanswered: 0 };
    $('simulate').setAttribute('aria-pressed', String(name === null));
    $('simulate').textContent = 'Stop';
    $('progress').hidden = recording.instants === Infinity;
    askForSession();
  }

  function askForSession() {
    if (!sending) return;
    sending.session = null;
    sending.unanswered = 0;
    clearInterval(timer);
    if (feed.send({ type: 'start' })) say('a session is being opened');
  }

  function stop() {
    if (!sending) return;
    clearInterval(timer);
    if (sending.session) feed.send({ type: 'stop', session_id: sending.session });
    sending = null;
    $('simulate').setAttribute('aria-pressed', 'false');
    $('simulate').textContent = 'Simulate';
    $('progress').hidden = true;
    say('stopped');
  }

  function tick() {
    if (!sending?.session || sending.unanswered > MOST_BEHIND) return;
    const { recording } = sending;
    const count = Math.round(RATE_HZ * TICK_MS / 1000 * Number($('speed').value));
    const samples = [];
    for (let i = 0; i < count && sending.next < recording.instants; ++i, ++sending.next) {
      samples.push(...recording.at(sending.next));
    }
    if (samples.length > 0 && feed.send({ type: 'samples', session_id: sending.session, samples })) {
      ++sending.unanswered;
    }
    $('progress').value = sending.next / recording.instants || 0;
    if (sending.next >= recording.instants) {
      clearInterval(timer);
      say(`${sending.name}: all ${recording.instants} samples were sent; the session stays open`);
      $('simulate').textContent = 'Close it';
    }
  }

  async function open(file) {
    try {
      const recording = await readRecording(file);
      begin(recording, file.name);
    } catch (error) {
      sayWrong(Error(`${file.name} ${error.message}`));
    }
  }

  $('simulate').addEventListener('click', () => (sending ? stop() : begin(simulated(), null)));
  $('file').addEventListener('change', () => {
    if ($('file').files.length > 0) open($('file').files[0]);
    $('file').value = '';
  });
  let depth = 0;  // of nested elements that the file is dragged over
  addEventListener('dragenter', (event) => { event.preventDefault(); ++depth; $('drop').hidden = false; });
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('dragleave', () => { depth = Math.max(0, depth - 1); $('drop').hidden = depth === 0; });
  addEventListener('drop', (event) => {
    event.preventDefault();
    depth = 0;
    $('drop').hidden = true;
    if (event.dataTransfer.files.length > 0) open(event.dataTransfer.files[0]);
  });

  return {
    // A server that was restarted does not know the session any more: another one is opened.
    opened() { if (sending && sending.next < sending.recording.instants) askForSession(); },
    closed() { clearInterval(timer); },
    message(message) {
      if (!sending) return;
      if (message.type === 'started' && !sending.session) {
        sending.session = message.session_id;
        say(sending.name ? `sending ${sending.name}` : 'sending simulated samples');
        show(sending.session);
        clearInterval(timer);
        timer = setInterval(tick, TICK_MS);
      } else if (message.type === 'accepted') {
        sending.unanswered = Math.max(0, sending.unanswered - 1);
      } else if (message.type === 'error') {
        sending.unanswered = Math.max(0, sending.unanswered - 1);
        if (message.status === 404 && sending.session) askForSession();
        else if (message.status !== 503) sayWrong(message);
      }
    },
  };
}
