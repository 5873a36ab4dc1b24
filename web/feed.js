// The connection to the server: one WebSocket that opens again by itself, and GET requests.

export const keyStore = {
  // The key stays in this tab; closing it forgets the key.
  get() { try { return sessionStorage.getItem('key') || ''; } catch (error) { return ''; } },
  set(key) { try { sessionStorage.setItem('key', key); } catch (error) { /* asked again then */ } },
};

// JSON of a path, or throws {status, detail}.
export async function fetchJson(path) {
  const key = keyStore.get();
  const answer = await fetch(path, { headers: key ? { Authorization: `Bearer ${key}` } : {} });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw { status: answer.status, detail: body.detail || answer.statusText };
  return body;
}

const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 5000;

// Calls on.open() each time it connects, on.message(object), on.state('open' | 'connecting').
// Gives {send(object), reconnect()}; send is false while there is no connection.
export function openFeed(on) {
  let socket = null, wait = FIRST_WAIT_MS, timer = 0;

  function connect() {
    on.state('connecting');
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    socket = new WebSocket(`${scheme}://${location.host}/ws/v1/analysis`);
    socket.onopen = () => {
      wait = FIRST_WAIT_MS;
      on.state('open');
      on.open();
    };
    socket.onmessage = (event) => on.message(JSON.parse(event.data));
    socket.onclose = () => {
      socket = null;
      on.state('connecting');
      timer = setTimeout(connect, wait);
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    };
  }

  setTimeout(connect);  // after the caller has what this function gives
  return {
    send(message) {
      if (!socket || socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify({ ...message, ...(keyStore.get() && { auth_token: keyStore.get() }) }));
      return true;
    },
    reconnect() {
      clearTimeout(timer);
      wait = FIRST_WAIT_MS;
      if (socket) socket.close(); else connect();
    },
  };
}
