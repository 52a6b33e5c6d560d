// Two reporters at two API processes run one incident together, and a visitor watches. Each step prints one line of JSON,
// on which test_front_end.py asserts; a line with `cue` asks it to do what no front end can.
import { FrontEnd } from "./front_end.mjs";

const { first, second, origin, people, service } = JSON.parse(process.env.PLAY);
const alice = new FrontEnd("alice", first, origin);
const bob = new FrontEnd("bob", second, origin);
const visitor = new FrontEnd("visitor", second, origin);

const print = (line) => console.log(JSON.stringify(line));
const tell = (step, facts) => print({ step, ...facts });
const cue = (what) => print({ cue: what });
const told = ({ status, data, headers }) => ({ status, data, etag: headers.etag, location: headers.location });

async function logIn() {
  const response = await alice.logIn("alice", people.alice);
  const me = await alice.ask("get", "/api/auth/me");
  await bob.logIn("bob", people.bob);
  const wrong = await visitor.ask("post", "/api/auth/login", { username: "alice", password: "not hers" });
  tell("log in", {
    ...told(response),
    allowedOrigin: response.headers["access-control-allow-origin"],
    me: told(me),
    wrong: told(wrong),
    visitorLoggedOut: visitor.loggedOut,
  });
}

async function connect() {
  await Promise.all([alice.connect(), bob.connect(), visitor.connect()]);
  tell("connect", { ids: [alice, bob, visitor].map((one) => one.socket.id) });
}

async function read() {
  const answers = {};
  for (const path of ["system-status", "services", `uptime/${service}?months=3`, "incidents", "incidents/past"]) {
    answers[path.replace(/[/?].*/, (rest) => (rest === "/past" ? rest : ""))] = told(await visitor.ask("get", `/api/${path}`));
  }
  tell("read", answers);
}

async function create() {
  const created = await alice.ask("post", "/api/incidents", {
    title: "Logins fail",
    description: "Since noon",
    severity: "high",
    priority: "P1",
    affectedServices: [service],
    reporter: "the night shift",
    detectionCriteria: "5xx above 1 %",
  });
  const incident = created.data.incident;
  const isIt = (data) => data.incident.id === incident.id;
  const [byAlice, byBob, byVisitor] = await Promise.all(
    [alice, bob, visitor].map((one) => one.hears("incident-created", isIt)),
  );
  const refused = await visitor.ask("post", "/api/incidents", { title: "x", severity: "low", priority: "P3", affectedServices: [] });
  tell("create", { ...told(created), heard: { alice: byAlice, bob: byBob, visitor: byVisitor }, refused: told(refused) });
  return incident;
}

async function join(id) {
  const room = `incident-${id}`;
  tell("join", {
    room,
    alice: await alice.say("join-room", { room }),
    bob: await bob.say("join-room", { room }),
    visitor: await visitor.say("join-room", { room }),
    unknown: await alice.say("join-room", { room: "staff" }),
  });
}

async function presence(id) {
  const claims = { userId: "root", userName: "The Boss" };
  alice.socket.emit("incident-editing", { incidentId: id, ...claims, isEditing: true, field: "description" });
  const bobHears = await bob.hears("incident-editing");
  bob.socket.emit("incident-editing", { incidentId: id, ...claims, isEditing: true, field: "title" });
  const aliceHears = await alice.hears("incident-editing");
  tell("presence", { aliceHears, bobHears, users: { alice: alice.user, bob: bob.user } });
}

async function save(id) {
  const path = `/api/incidents/${id}`;
  const [aliceSaw, bobSaw] = [await alice.ask("get", path), await bob.ask("get", path)];
  const saved = await alice.ask("put", path, { description: "by alice" }, { "If-Match": aliceSaw.headers.etag });
  const tooLate = await bob.ask("put", path, { description: "by bob" }, { "If-Match": bobSaw.headers.etag });
  const careless = await bob.ask("put", path, { title: "Nobody can log in" });
  const heard = await visitor.hears("incident-updated", (data) => data.incident?.title === "Nobody can log in");
  tell("save", { sameEtag: aliceSaw.headers.etag === bobSaw.headers.etag, saved: told(saved), tooLate: told(tooLate), careless: told(careless), heard });
}

async function autoSave(id) {
  alice.socket.emit("auto-save", { incidentId: id, data: { description: "half a sent" } });
  const bobHears = await bob.hears("auto-save");
  const draft = await alice.ask("get", `/api/incidents/${id}/draft`);
  const notHis = await bob.ask("get", `/api/incidents/${id}/draft`);
  tell("auto-save", { bobHears, draft: told(draft), notHis: told(notHis) });
}

async function comment(id) {
  alice.socket.emit("incident-comment", { incidentId: id, comment: { text: "It is the <b>cache</b>", author: "The Boss" } });
  const [aliceHears, bobHears] = [await alice.hears("incident-comment"), await bob.hears("incident-comment")];
  const kept = await bob.ask("get", `/api/incidents/${id}/comments`);
  tell("comment", { aliceHears, bobHears, kept: told(kept), aliceHeard: alice.names() });
}

async function update(id) {
  const added = await bob.ask("post", `/api/incidents/${id}/updates`, { status: "identified", description: "The cache" });
  const visitorHears = await visitor.hears("incident-updated", (data) => data.update?.status === "identified");
  tell("update", { ...told(added), visitorHears });
}

async function listen() {
  const joined = await visitor.say("join-room", { room: "system-status" });
  cue("outage");
  const heard = await visitor.hears("status-update", (data) => data.serviceId === service);
  tell("listen", { joined, heard, visitorHeard: visitor.names() });
}

async function lose(id) {
  alice.moveTo(second);
  const [heardByAlice, heardByBob] = [alice.heard.length, bob.heard.length];
  const before = Date.now();
  cue("kill");
  const reason = await alice.hears("disconnect", undefined, heardByAlice);
  const left = await bob.hears("user-left", undefined, heardByBob);
  tell("lose", { reason, left, seconds: (Date.now() - before) / 1000 });
}

async function comeBack(id) {
  await alice.connected();
  const [heardByAlice, heardByBob] = [alice.heard.length, bob.heard.length];
  const joined = await alice.say("join-room", { room: `incident-${id}` });
  const isThere = await alice.hears("incident-editing", undefined, heardByAlice);
  alice.socket.emit("incident-comment", { incidentId: id, comment: "Back again" });
  const heard = await bob.hears("incident-comment", undefined, heardByBob);
  tell("come back", { joined, isThere, heard });
}

async function resolve(id) {
  const resolved = await bob.ask("put", `/api/incidents/${id}`, { status: "resolved" });
  const open = await visitor.ask("get", "/api/incidents");
  const past = await visitor.ask("get", "/api/incidents/past?days=2&page=1&limit=10");
  const deleted = await bob.ask("delete", `/api/incidents/${id}`);
  tell("resolve", { ...told(resolved), open: told(open), past: told(past), deleted: told(deleted) });
}

async function logOut(id) {
  const [heardByAlice, heardByBob] = [alice.heard.length, bob.heard.length];
  const response = await alice.ask("post", "/api/auth/logout");
  const reason = await alice.hears("disconnect", undefined, heardByAlice);
  const left = await bob.hears("user-left", undefined, heardByBob);
  const next = await alice.ask("get", "/api/auth/me");
  tell("log out", { ...told(response), reason, left, next: told(next), loggedOut: alice.loggedOut });
}

try {
  await logIn();
  await connect();
  await read();
  const { id } = await create();
  for (const step of [join, presence, save, autoSave, comment, update, listen, lose, comeBack, resolve, logOut]) {
    await step(id);
  }
} catch (error) {
  tell("failed", { reason: error.message });
  process.exitCode = 1;
} finally {
  for (const one of [alice, bob, visitor]) one.socket?.close();
}
