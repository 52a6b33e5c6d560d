// A search above a long list of boxes: those that do not match are hidden, ticked ones stay.

for (const picker of document.querySelectorAll(".picker")) {
  const place = picker.querySelector(".search");
  if (place) searchable(place, [...picker.querySelectorAll(".choice")]);
}

function searchable(place, choices) {
  const search = place.querySelector("input");
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLocaleLowerCase();
    for (const choice of choices) {
      const ticked = choice.querySelector("input").checked;
      choice.hidden = !ticked && !choice.textContent.toLocaleLowerCase().includes(wanted);
    }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault(); // it would send the form
  });
  place.hidden = false;
}
