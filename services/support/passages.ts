/** Characters of a passage; a longer paragraph is parted between its sentences. */
const LONGEST = 1_200;

export interface NewPassage {
  /** The nearest heading above it; empty where there is none. */
  heading: string;
  text: string;
}

/** A document's paragraphs, their line breaks made blanks. Lines that begin with # are headings. */
export function passagesOf(text: string): NewPassage[] {
  let heading = "";
  const passages: NewPassage[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const lines = paragraph.split("\n");
    while (/^#{1,6}\s/.test(lines[0] ?? ""))
      heading = lines
        .shift()!
        .replace(/^#+\s+/, "")
        .trim();
    const whole = lines.join(" ").replace(/\s+/g, " ").trim();
    if (whole !== "") passages.push(...parted(whole).map((part) => ({ heading, text: part })));
  }
  return passages;
}

function parted(text: string): string[] {
  if (text.length <= LONGEST) return [text];
  const parts: string[] = [];
  let part = "";
  for (const sentence of sentencesOf(text).flatMap(chunks)) {
    if (part !== "" && part.length + sentence.length > LONGEST) {
      parts.push(part.trim());
      part = "";
    }
    part += sentence;
  }
  return [...parts, part.trim()].filter((one) => one !== "");
}

/** What has no end. */
function chunks(sentence: string): string[] {
  const symbols = Array.from(sentence);
  const count = Math.ceil(symbols.length / LONGEST);
  return Array.from({ length: count }, (_, index) =>
    symbols.slice(index * LONGEST, (index + 1) * LONGEST).join(""),
  );
}

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** Joined, they are the text again. */
export function sentencesOf(text: string): string[] {
  return [...segmenter.segment(text)].map(({ segment }) => segment);
}
