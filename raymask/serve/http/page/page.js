// The page: a photo is sent, and what the service says of it is drawn. Nothing is kept but the key, in this tab.

import { grounds, verdict } from "./verdict.js";

const MOST_BYTES = 4_000_000; // larger photos are scaled down here
const MOST_SIDE = 1600; // pixels, then
const PAGE = 50; // people shown at a time

const ROOT = new URL("..", import.meta.url); // of this application, which may lie under a prefix

const $ = (id) => document.getElementById(id);
let photo = null; // {blob, bitmap, faces, enrolled, maps, scale}
let refused = null; // a photo that was not looked at for want of a key
let stream = null; // of the camera
let facing = "user"; // or "environment": which camera
let shownUntil = null; // the last name on the list
let asked = 0; // which photo an answer belongs to

class Problem extends Error {
  constructor(detail, status = 0) {
    super(detail);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = {};
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(new URL(path, ROOT), { method, headers, body });
  } catch {
    throw new Problem("The service cannot be reached.");
  }
  if (answer.ok) return answer;
  let detail = `The service answered ${answer.status}.`;
  try {
    detail = (await answer.json()).detail ?? detail;
  } catch { /* not ours: a proxy's */ }
  if (answer.status === 401) askForKey();
  throw new Problem(detail, answer.status);
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

// What went wrong, said; what is no fault of the service's or the user's goes on to the browser's console, too.
function complain(error, before = "") {
  const ours = error instanceof Problem;
  say(before + (ours ? error.message : "Something went wrong on this page."), true);
  if (!ours) throw error;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// A photo

async function take(blob) {
  const mine = ++asked;
  say("Looking…");
  try {
    const bitmap = await decoded(blob);
    const sent = blob.size > MOST_BYTES ? await scaled(bitmap) : blob;
    const width = sent === blob ? bitmap.width : Math.round(bitmap.width * scaleOf(bitmap));
    const answer = await (await call("POST", "v1/identify", form(sent))).json();
    if (mine !== asked) return;
    photo = { blob: sent, bitmap, faces: answer.faces, enrolled: answer.enrolled, maps: [], scale: bitmap.width / width };
    show();
    const masked = answer.faces.filter((face) => face.masked).length;
    const faces = `${answer.faces.length} ${answer.faces.length === 1 ? "face" : "faces"}`;
    say(`${faces} found, ${masked === 0 ? "none" : masked} masked. ${answer.faces.map(verdict).join(". ")}.`);
    if (masked) await showUnmasked(mine);
  } catch (error) {
    if (mine !== asked) return;
    if (error.status === 401) refused = blob;
    $("found").hidden = true;
    complain(error);
  }
}

async function decoded(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new Problem("This file is no photo that can be shown. Choose a JPEG, PNG or WebP.");
  }
}

const scaleOf = (bitmap) => Math.min(1, MOST_SIDE / Math.max(bitmap.width, bitmap.height));

async function scaled(bitmap) {
  const scale = scaleOf(bitmap);
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}

function form(blob) {
  const data = new FormData();
  data.append("photo", blob, "photo");
  return data;
}

// What was found stays where this fails.
async function showUnmasked(mine) {
  let maps, picture;
  try {
    const [segmented, unmasked] = await Promise.all([
      call("POST", "v1/segment", form(photo.blob)),
      call("POST", "v1/unmask?picture=jpeg", form(photo.blob)),
    ]);
    const { faces } = await segmented.json();
    maps = await Promise.all(faces.filter((face) => face.masked).map(overlay));
    picture = await unmasked.blob();
  } catch (error) {
    if (mine === asked) complain(error, "The mask cannot be shown taken off: ");
    return;
  }
  if (mine !== asked) return;
  photo.maps = maps;
  URL.revokeObjectURL($("unmasked").src);
  $("unmasked").src = URL.createObjectURL(picture);
  $("unmasked-figure").hidden = false;
  draw();
}

// The map as a picture in the mask's colour, clear where there is no mask.
async function overlay(face) {
  const bytes = Uint8Array.from(atob(face.mask_png), (letter) => letter.charCodeAt(0));
  const map = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(map.width, map.height);
  const context = canvas.getContext("2d");
  context.drawImage(map, 0, 0);
  const pixels = context.getImageData(0, 0, map.width, map.height);
  for (let place = 0; place < pixels.data.length; place += 4) {
    const covered = pixels.data[place] > 127;
    pixels.data.set([31, 143, 214, covered ? 130 : 0], place);
  }
  context.putImageData(pixels, 0, 0);
  return { canvas, square: face.square };
}

function show() {
  $("found").hidden = false;
  $("unmasked-figure").hidden = true;
  draw();
  $("faces").replaceChildren(...photo.faces.map(describe));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function draw() {
  const canvas = $("photo");
  const { bitmap, scale } = photo;
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  if ($("show-maps").checked) {
    for (const { canvas: map, square: [left, top, side] } of photo.maps) {
      context.drawImage(map, left * scale, top * scale, side * scale, side * scale);
    }
  }
  const unit = Math.max(bitmap.width, bitmap.height) / 400;
  context.lineWidth = 2.5 * unit;
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  photo.faces.forEach((face, place) => {
    const [left, top, right, bottom] = face.box.map((value) => value * scale);
    context.strokeStyle = colour(face.decision);
    context.strokeRect(left, top, right - left, bottom - top);
    const label = ` ${place + 1} `;
    context.fillStyle = colour(face.decision);
    context.fillRect(left, top, context.measureText(label).width, 19 * unit);
    context.fillStyle = colour("card");
    context.fillText(label, left, top + 14.5 * unit);
  });
}

function describe(face, place) {
  const row = element("li");
  const line = element("p");
  line.append(`Face ${place + 1}: `, element("span", `decision ${face.decision}`, verdict(face)));
  const state = face.masked ? `masked (${Math.round(face.coverage * 100)}% of the face's square covered)` : "no mask";
  line.append(".");
  row.append(line);
  const why = grounds(face, photo.enrolled);
  if (why) row.append(element("p", "grounds", why));
  row.append(element("p", "soft", `${state}; match from similarity ${face.threshold.toFixed(4)}, review from ${face.review_threshold.toFixed(4)}`));
  const list = element("div", "candidates");
  for (const { identity, score } of face.candidates) {
    const candidate = element("div", "candidate");
    const bar = element("meter");
    Object.assign(bar, { min: 0, max: 1, low: face.review_threshold, high: face.threshold, optimum: 1, value: Math.max(0, score) });
    bar.setAttribute("aria-label", `similarity to ${identity}`);
    candidate.append(element("span", "", identity), bar, element("output", "", score.toFixed(4)));
    list.append(candidate);
  }
  row.append(list);
  return row;
}

// People

async function list(from = "") {
  $("more").disabled = true; // asked for twice, people would be listed twice
  try {
    const path = `v1/identities?limit=${PAGE}${from ? `&after=${encodeURIComponent(from)}` : ""}`;
    const { people, next } = await (await call("GET", path)).json();
    const rows = people.map(({ identity, photos }) => {
      const row = element("li");
      const erase = element("button", "plain", "Erase");
      erase.type = "button";
      erase.setAttribute("aria-label", `Erase ${identity}`);
      erase.addEventListener("click", () => askToErase(identity));
      row.append(element("span", "", `${identity}, ${photos} ${photos === 1 ? "photo" : "photos"}`), erase);
      return row;
    });
    if (from) $("people").append(...rows);
    else $("people").replaceChildren(...rows);
    shownUntil = next;
    $("more").hidden = next === null;
    $("nobody").textContent = "Nobody is enrolled.";
    $("nobody").hidden = $("people").childElementCount > 0;
    if (!from) showWarning();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (!from) {
      $("people").replaceChildren(); // who may not see the list any more sees none of before
      $("more").hidden = true;
      $("gallery-warning").hidden = true;
    }
    $("nobody").textContent = error.message;
    $("nobody").hidden = false;
  } finally {
    $("more").disabled = false;
  }
}

// Whether the thresholds hold for these people; who may list them may ask.
async function showWarning() {
  let text = "";
  try {
    const { warning, nearest } = await (await call("GET", "v1/gallery")).json();
    const pairs = (nearest ?? []).map(({ identities, score }) => `${identities.join(" and ")} (${score.toFixed(3)})`);
    if (warning) text = warning + (pairs.length ? ` Most alike: ${pairs.join(", ")}.` : "");
  } catch (error) {
    if (!(error instanceof Problem)) throw error; // the list is there nevertheless
  }
  $("gallery-warning").textContent = text;
  $("gallery-warning").hidden = !text;
}

async function enrol(event) {
  event.preventDefault();
  const name = $("name").value.trim();
  const options = `with_masks=${$("with-masks").checked}&keep=${$("keep").checked}`;
  say(`Enrolling ${name}…`);
  try {
    const path = `v1/identities/${encodeURIComponent(name)}/photos?${options}`;
    const done = await (await call("POST", path, form(photo.blob))).json();
    const others = done.other_faces ? ` ${done.other_faces} other faces were passed over.` : "";
    say(done.new ? `${done.identity} is enrolled.${others}` : `${done.identity} was enrolled with this photo before.`);
    $("name").value = "";
    await seen();
  } catch (error) {
    complain(error);
  }
}

// Searches see a change within a second; then the list does, too.
async function seen() {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await list();
}

function askToErase(identity) {
  $("erase-name").textContent = identity;
  $("erase-dialog").returnValue = "";
  $("erase-dialog").showModal();
}

// A dialog that was closed, opened and closed again at once may tell of both closings after the second.
function answerOf(dialog) {
  const answer = $(dialog).returnValue;
  $(dialog).returnValue = "";
  return answer;
}

async function erase() {
  if (answerOf("erase-dialog") !== "erase") return;
  const identity = $("erase-name").textContent;
  say(`Erasing ${identity}…`);
  try {
    await call("DELETE", `v1/identities/${encodeURIComponent(identity)}`);
    say(`${identity} is erased.`);
    $("people-title").focus(); // the button that was pressed goes
    await seen();
  } catch (error) {
    complain(error);
  }
}

function askForKey() {
  if ($("key-dialog").open) return;
  $("key-dialog").returnValue = ""; // Escape leaves the key as it is
  $("key-dialog").showModal();
}

function useKey() {
  if (answerOf("key-dialog") === "save") {
    sessionStorage.setItem("key", $("key").value.trim());
    list();
    if (refused) take(refused);
  }
  $("key").value = "";
  refused = null;
}

// The camera

async function startCamera() {
  if ($("camera").disabled) return; // it is being started
  stopCamera();
  $("camera").disabled = true;
  try {
    const wanted = { facingMode: facing, width: { ideal: 1280 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
    stream.getVideoTracks()[0].addEventListener("ended", stopCamera);
    $("video").srcObject = stream;
    await $("video").play();
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    showCamera(true);
    $("camera-turn").hidden = cameras.length < 2;
    $("shoot").focus();
  } catch {
    stopCamera();
    say("There is no camera that this page may use. Choose a photo instead.", true);
  } finally {
    $("camera").disabled = false;
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("video").srcObject = null;
  showCamera(false);
}

function showCamera(on) {
  for (const id of ["video", "shoot", "camera-turn", "camera-off"]) $(id).hidden = !on;
  $("camera").hidden = on;
}

function turnCamera() {
  facing = facing === "user" ? "environment" : "user";
  startCamera();
}

function shoot() {
  const video = $("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => blob && take(blob), "image/jpeg", 0.95);
}

// What people do

$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) take(file);
  $("file").value = ""; // so that the same file can be chosen again
});
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    const [file] = event.dataTransfer.files;
    if (kind === "drop" && file) take(file);
  });
}
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) take(file);
});
$("camera").addEventListener("click", startCamera);
$("camera-turn").addEventListener("click", turnCamera);
$("camera-off").addEventListener("click", () => {
  stopCamera();
  $("camera").focus();
});
window.addEventListener("pagehide", stopCamera);
document.addEventListener("visibilitychange", () => document.hidden && stopCamera());
$("shoot").addEventListener("click", shoot);
$("show-maps").addEventListener("change", draw);
$("enrol").addEventListener("submit", enrol);
$("with-masks").addEventListener("change", () => {
  $("with-masks-warning").hidden = !$("with-masks").checked;
});
$("more").addEventListener("click", () => list(shownUntil));
$("erase-dialog").addEventListener("close", erase);
$("key-open").addEventListener("click", askForKey);
$("key-dialog").addEventListener("close", useKey);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => photo && draw());
list();
