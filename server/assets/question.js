// Asks before something is done that cannot be taken back.

import { byId, write } from "./text.js";

/** @param {string} text the question @param {string} yes what the button says that does it
 *  @returns {Promise<boolean>} whether the answer is yes */
export function isMeant(text, yes) {
  const dialog = byId("question");
  write(byId("question-text"), text);
  write(byId("question-yes"), yes);
  // The Escape key leaves it as it is.
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

byId("question-yes").addEventListener("click", () => byId("question").close("yes"));
byId("question-no").addEventListener("click", () => byId("question").close(""));
