"use strict";
for (const button of document.querySelectorAll("button[data-image]")) {
  const about = button.getAttribute("aria-label").replace("Show ", "");
  let image = null;
  const steps = {
    show() {
      image = document.createElement("img");
      image.alt = about;
      image.className = "veiled";
      image.referrerPolicy = "no-referrer";
      image.onerror = () => { button.after(" The image is not there."); hide(); button.disabled = true; };
      image.src = button.dataset.image;
      button.after(image);
      say("Unveil", "unveil");
    },
    unveil() { image.className = ""; say("Hide", "hide"); },
    hide() { hide(); },
  };
  function hide() { image.remove(); say("Show", "show"); }
  function say(word, next) {
    button.dataset.next = next;
    button.textContent = word;
    button.setAttribute("aria-label", word + " " + about);
  }
  button.addEventListener("click", () => steps[button.dataset.next]());
  say("Show", "show");
  button.hidden = false;
}
