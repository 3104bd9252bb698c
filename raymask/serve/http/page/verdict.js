// What the service says of a face, in words.

// In a few words: who it may be.
export function verdict(face) {
  const names = face.candidates.filter(({ score }) => score === face.score).map(({ identity }) => identity);
  if (face.decision === "unknown") return "Nobody enrolled is near enough";
  if (face.tied) return names.length > 1 ? `${names.join(" and ")} are equally near` : "Two people are equally near";
  const best = names[0] ?? "somebody enrolled"; // whom the service does not name
  return face.decision === "match" ? `Looks like ${best}` : `May be ${best}: have a person check`;
}

// In sentences: how far to trust that.
export function grounds(face, enrolled) {
  if (face.decision === "unknown") return "";
  const said = face.tied ? ["One person may be enrolled twice: have a person check."] : [];
  const match = face.decision === "match";
  const share = match ? face.expected_fpir : face.review_expected_fpir;
  const reaches = match ? "be called a match" : "come as near as this";
  if (share !== null) {
    said.push(`Of strangers, about ${oneIn(share)} would ${reaches} among the ${counted(enrolled)}.`);
    if (face.extrapolated) said.push("This is an estimate beyond what was measured.");
  } else if (face.extrapolated) {
    said.push("More people are enrolled than these thresholds were made for, so nobody is called a match; calibrate on more strangers.");
  } else {
    said.push(`How many strangers would ${reaches} is not known.`);
  }
  return said.join(" ");
}

const oneIn = (share) => `1 in ${Number((1 / share).toPrecision(2)).toLocaleString("en")}`;

function counted({ people, embeddings }) {
  const number = (count, one, more) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
  return `${number(people, "person", "people")} enrolled (${number(embeddings, "face", "faces")})`;
}
