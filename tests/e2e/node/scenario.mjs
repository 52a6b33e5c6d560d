// Two reporters on two API processes edit one incident, and a visitor reads. Each step prints one line of JSON,
// and test_front_end.py asserts its facts. A line with `action` requests an action that a front end cannot perform.
import { FrontEnd } from "./front_end.mjs";

const { first, second, origin, passwords, service } = JSON.parse(process.env.SCENARIO);
const alice = new FrontEnd("alice", first, origin);
const bob = new FrontEnd("bob", second, origin);
const visitor = new FrontEnd("visitor", second, origin);

const print = (line) => console.log(JSON.stringify(line));
const report = (step, facts) => print({ step, ...facts });
const requestAction = (action) => print({ action });
const summary = ({ status, data, headers }) => ({ status, data, etag: headers.etag, location: headers.location });

async function logIn() {
  const response = await alice.logIn("alice", passwords.alice);
  const me = await alice.request("get", "/api/auth/me");
  await bob.logIn("bob", passwords.bob);
  const wrongPassword = await visitor.request("post", "/api/auth/login", { username: "alice", password: "not hers" });
  report("log in", {
    ...summary(response),
    allowedOrigin: response.headers["access-control-allow-origin"],
    me: summary(me),
    wrongPassword: summary(wrongPassword),
    visitorLoggedOut: visitor.loggedOut,
  });
}

async function connect() {
  await Promise.all([alice.connect(), bob.connect(), visitor.connect()]);
  report("connect", { ids: [alice, bob, visitor].map((frontEnd) => frontEnd.socket.id) });
}

async function read() {
  const responses = {};
  for (const path of ["system-status", "services", `uptime/${service}?months=3`, "incidents", "incidents/past"]) {
    responses[path.replace(/[/?].*/, (rest) => (rest === "/past" ? rest : ""))] = summary(await visitor.request("get", `/api/${path}`));
  }
  report("read", responses);
}

async function create() {
  const created = await alice.request("post", "/api/incidents", {
    title: "Logins fail",
    description: "Since noon",
    severity: "high",
    priority: "P1",
    affectedServices: [service],
    reporter: "the night shift",
    detectionCriteria: "5xx above 1 %",
  });
  const incident = created.data.incident;
  const isCreated = (data) => data.incident.id === incident.id;
  const [byAlice, byBob, byVisitor] = await Promise.all(
    [alice, bob, visitor].map((frontEnd) => frontEnd.waitForEvent("incident-created", isCreated)),
  );
  const refused = await visitor.request("post", "/api/incidents", { title: "x", severity: "low", priority: "P3", affectedServices: [] });
  report("create", { ...summary(created), received: { alice: byAlice, bob: byBob, visitor: byVisitor }, refused: summary(refused) });
  return incident;
}

async function join(id) {
  const room = `incident-${id}`;
  report("join", {
    room,
    alice: await alice.emit("join-room", { room }),
    bob: await bob.emit("join-room", { room }),
    visitor: await visitor.emit("join-room", { room }),
    unknown: await alice.emit("join-room", { room: "staff" }),
  });
}

async function presence(id) {
  const claims = { userId: "root", userName: "The Boss" };
  alice.socket.emit("incident-editing", { incidentId: id, ...claims, isEditing: true, field: "description" });
  const bobReceived = await bob.waitForEvent("incident-editing");
  bob.socket.emit("incident-editing", { incidentId: id, ...claims, isEditing: true, field: "title" });
  const aliceReceived = await alice.waitForEvent("incident-editing");
  report("presence", { aliceReceived, bobReceived, users: { alice: alice.user, bob: bob.user } });
}

async function save(id) {
  const path = `/api/incidents/${id}`;
  const [aliceRead, bobRead] = [await alice.request("get", path), await bob.request("get", path)];
  const saved = await alice.request("put", path, { description: "by alice" }, { "If-Match": aliceRead.headers.etag });
  const stale = await bob.request("put", path, { description: "by bob" }, { "If-Match": bobRead.headers.etag });
  const withoutEtag = await bob.request("put", path, { title: "Nobody can log in" });
  const received = await visitor.waitForEvent("incident-updated", (data) => data.incident?.title === "Nobody can log in");
  report("save", { sameEtag: aliceRead.headers.etag === bobRead.headers.etag, saved: summary(saved), stale: summary(stale), withoutEtag: summary(withoutEtag), received });
}

async function autoSave(id) {
  alice.socket.emit("auto-save", { incidentId: id, data: { description: "half a sent" } });
  const bobReceived = await bob.waitForEvent("auto-save");
  const draft = await alice.request("get", `/api/incidents/${id}/draft`);
  const otherUser = await bob.request("get", `/api/incidents/${id}/draft`);
  report("auto-save", { bobReceived, draft: summary(draft), otherUser: summary(otherUser) });
}

async function comment(id) {
  alice.socket.emit("incident-comment", { incidentId: id, comment: { text: "It is the <b>cache</b>", author: "The Boss" } });
  const [aliceReceived, bobReceived] = [await alice.waitForEvent("incident-comment"), await bob.waitForEvent("incident-comment")];
  const comments = await bob.request("get", `/api/incidents/${id}/comments`);
  report("comment", { aliceReceived, bobReceived, comments: summary(comments), aliceEvents: alice.eventNames() });
}

async function update(id) {
  const added = await bob.request("post", `/api/incidents/${id}/updates`, { status: "identified", description: "The cache" });
  const visitorReceived = await visitor.waitForEvent("incident-updated", (data) => data.update?.status === "identified");
  report("update", { ...summary(added), visitorReceived });
}

async function listen() {
  const joined = await visitor.emit("join-room", { room: "system-status" });
  requestAction("outage");
  const received = await visitor.waitForEvent("status-update", (data) => data.serviceId === service);
  report("listen", { joined, received, visitorEvents: visitor.eventNames() });
}

async function lose(id) {
  alice.moveTo(second);
  const [aliceStart, bobStart] = [alice.events.length, bob.events.length];
  const before = Date.now();
  requestAction("kill");
  const reason = await alice.waitForEvent("disconnect", undefined, aliceStart);
  const left = await bob.waitForEvent("user-left", undefined, bobStart);
  report("lose", { reason, left, seconds: (Date.now() - before) / 1000 });
}

async function comeBack(id) {
  await alice.connected();
  const [aliceStart, bobStart] = [alice.events.length, bob.events.length];
  const joined = await alice.emit("join-room", { room: `incident-${id}` });
  const presence = await alice.waitForEvent("incident-editing", undefined, aliceStart);
  alice.socket.emit("incident-comment", { incidentId: id, comment: "Back again" });
  const received = await bob.waitForEvent("incident-comment", undefined, bobStart);
  report("come back", { joined, presence, received });
}

async function resolve(id) {
  const resolved = await bob.request("put", `/api/incidents/${id}`, { status: "resolved" });
  const open = await visitor.request("get", "/api/incidents");
  const past = await visitor.request("get", "/api/incidents/past?days=2&page=1&limit=10");
  const deleted = await bob.request("delete", `/api/incidents/${id}`);
  report("resolve", { ...summary(resolved), open: summary(open), past: summary(past), deleted: summary(deleted) });
}

async function logOut(id) {
  const [aliceStart, bobStart] = [alice.events.length, bob.events.length];
  const response = await alice.request("post", "/api/auth/logout");
  const reason = await alice.waitForEvent("disconnect", undefined, aliceStart);
  const left = await bob.waitForEvent("user-left", undefined, bobStart);
  const next = await alice.request("get", "/api/auth/me");
  report("log out", { ...summary(response), reason, left, next: summary(next), loggedOut: alice.loggedOut });
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
  report("failed", { reason: error.message });
  process.exitCode = 1;
} finally {
  for (const frontEnd of [alice, bob, visitor]) frontEnd.socket?.close();
}
