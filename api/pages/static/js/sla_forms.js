// The forms of SLA policies and corrections: rows are added in place, and a preview follows what is entered.

const ROW = "[data-row]";

for (const list of document.querySelectorAll("[data-rows]")) {
  list.querySelector("button[name=add]")?.addEventListener("click", (event) => {
    event.preventDefault();
    addRow(list);
  });
}

/** Adds a copy of the last row without its values, and moves the focus to it. */
function addRow(list) {
  const prefix = list.dataset.rows;
  const rows = list.querySelectorAll(ROW);
  const [last, number] = [rows[rows.length - 1], rows.length];
  const row = last.cloneNode(true);
  row.classList.remove("wrong");
  row.querySelector(".problem")?.remove();
  row.removeAttribute("aria-describedby");
  row.id = `field-${prefix}-${number}`;
  row.ariaLabel = last.ariaLabel.replace(/\d+/, String(number + 1));
  for (const input of row.querySelectorAll("input")) {
    input.name = input.name.replace(/-\d+-/, `-${number}-`);
    if (input.type === "checkbox") input.checked = false;
    else input.value = "";
  }
  list.querySelector(`[name="${prefix}-rows"]`).value = String(number + 1);
  last.after(row);
  row.querySelector("input").focus();
}
