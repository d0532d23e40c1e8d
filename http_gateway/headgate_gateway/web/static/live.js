// The live tail. What events say gets into the page as text, by textContent only.
"use strict";
(() => {
  const live = document.getElementById("live");
  const rows = document.getElementById("rows");
  const state = document.getElementById("stream-state");
  const pause = document.getElementById("pause");
  const filter = document.getElementById("filter");
  const MOST = 1000, SHOWN = 300, FLUSH_MS = 250;
  const items = [];
  const seen = new Set();
  let waiting = [], paused = false, chosen = null, timer = 0;

  const api = (name) => (name || "").replace("DIALECT_", "").replaceAll("_", " ").toLowerCase();

  function item(data) {
    const refused = data.refused;
    if (refused) {
      const first = refused.faults[0];
      const why = first ? `${first.field}: ${first.message}` : refused.message;
      return { id: refused.id, kind: "refused", at: refused.at, name: `${refused.events || "A"} ${refused.events === 1 ? "event" : refused.events ? "events" : "request"}`,
        why: `${api(refused.reason)}${why ? ` – ${why}` : ""}`, api: api(refused.api), user: "", data: refused };
    }
    return { id: data.eventId, kind: "accepted", at: data.receiveTime, name: data.name, why: "", api: api(data.dialectName || data.dialect),
      user: data.userId || data.distinctId || "", test: data.test, data };
  }

  function matches(one) {
    const kind = live.querySelector("[name=kind]:checked").value;
    if (kind && one.kind !== kind) return false;
    const text = filter.value.trim().toLowerCase();
    one.text ||= JSON.stringify(one.data).toLowerCase() + one.api;
    return !text || one.text.includes(text);
  }

  const cell = (row, text) => { const made = row.insertCell(); made.textContent = text; return made; };
  const badge = (name) => document.getElementById(`badge-${name}`).content.cloneNode(true);

  function row(one) {
    const made = document.createElement("tr");
    const time = document.createElement("time");
    time.dateTime = one.at;
    time.title = `${one.at} (UTC)`;
    time.textContent = new Date(one.at).toLocaleTimeString(undefined, { hourCycle: "h23" });
    made.insertCell().append(time);
    const name = made.insertCell();
    name.className = "name";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = one.name;
    button.addEventListener("click", () => show(one));
    name.append(button);
    if (one.why) {
      const why = document.createElement("div");
      why.className = "muted small";
      why.textContent = one.why;
      name.append(why);
    }
    const outcome = made.insertCell();
    outcome.append(badge(one.kind));
    if (one.test) outcome.append(" ", badge("test"));
    cell(made, one.api);
    cell(made, one.user).className = "name";
    return made;
  }

  function show(one) {
    chosen = one;
    const refused = one.kind === "refused";
    document.getElementById("detail").hidden = false;
    document.getElementById("detail-title").textContent = refused ? "Refused" : one.name;
    const facts = document.getElementById("detail-facts");
    facts.replaceChildren();
    const say = (text, kind) => { const made = document.createElement("p"); made.textContent = text; made.className = kind || ""; facts.append(made); };
    if (refused) {
      say(`Reason: ${api(one.data.reason)}`);
      if (one.data.message) say(one.data.message);
      for (const fault of one.data.faults) say(`${fault.index === null ? "" : `Event ${fault.index}, `}${fault.field}: ${fault.message}`, "alert bad");
      if (one.data.payloadHidden) say("The project's rules on personal data hide what was sent.", "muted");
      else if (!one.data.payload) say("What was sent is not kept.", "muted");
      else if (one.data.payloadCut) say("What was sent is cut.", "muted");
    }
    const find = document.getElementById("detail-find");
    find.hidden = refused;
    find.firstChild.href = `?q=${encodeURIComponent(one.id)}`;
    document.getElementById("detail-what").textContent = refused ? "As sent" : "As stored";
    let text = refused ? one.data.payload : JSON.stringify(one.data, null, 2);
    if (refused) try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
    const json = document.getElementById("detail-json");
    json.textContent = text;
    json.hidden = !text;
  }
  document.getElementById("detail-close").addEventListener("click", () => { document.getElementById("detail").hidden = true; chosen = null; });

  function renew() {
    rows.replaceChildren(...items.filter(matches).slice(0, SHOWN).map(row));
    document.getElementById("empty").hidden = items.length > 0;
  }

  function flush() {
    timer = 0;
    if (paused) { tell(); return; }
    const come = waiting;
    waiting = [];
    come.sort((a, b) => (a.at < b.at ? 1 : -1));
    // What came late, such as refused requests at the start, finds its place by its time.
    if (items.length && come.length && come[come.length - 1].at < items[0].at) {
      items.push(...come);
      items.sort((a, b) => (a.at < b.at ? 1 : -1));
      items.length = Math.min(items.length, MOST);
      renew();
    } else {
      items.unshift(...come);
      items.length = Math.min(items.length, MOST);
      rows.prepend(...come.filter(matches).slice(0, SHOWN).map(row));
      while (rows.rows.length > SHOWN) rows.lastElementChild.remove();
      document.getElementById("empty").hidden = items.length > 0;
    }
    tell();
  }

  const tell = (text) => { state.textContent = text || (paused ? `paused, ${waiting.length} wait` : "live"); };

  const source = new EventSource(live.dataset.stream);
  source.addEventListener("open", () => tell());
  source.addEventListener("error", () => tell(source.readyState === EventSource.CLOSED ? "ended: reload the page" : "connecting again"));
  source.addEventListener("failure", (event) => { tell(JSON.parse(event.data).message); source.close(); });
  source.addEventListener("message", (event) => {
    const one = item(JSON.parse(event.data));
    if (seen.has(one.id)) return;
    seen.add(one.id);
    if (seen.size > 5 * MOST) for (const old of [...seen].slice(0, MOST)) seen.delete(old);
    waiting.push(one);
    if (waiting.length > MOST) waiting.shift();
    timer ||= setTimeout(flush, FLUSH_MS);
  });
  addEventListener("pagehide", () => source.close());

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.querySelector("span").textContent = paused ? "Go on" : "Pause";
    flush();
  });
  filter.addEventListener("input", renew);
  for (const kind of live.querySelectorAll("[name=kind]")) kind.addEventListener("change", renew);
})();
