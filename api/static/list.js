// Finds people on the list that is open, as one types: rows that do not match are hidden, ranks stay as they are.
// The field is made here, since without script it could do nothing; what is typed is sent nowhere.

const rows = Array.from(document.querySelectorAll("#rows > li"));
const form = document.querySelector("[data-list]");

if (form && rows.length > 1) {
  const group = document.createElement("div");
  group.className = "govuk-form-group";
  group.innerHTML = '<label class="govuk-label" for="find">Find on this list</label>';
  const field = document.createElement("input");
  Object.assign(field, { id: "find", type: "text", className: "govuk-input govuk-input--width-10", autocomplete: "off" });
  const said = document.createElement("p");
  said.className = "govuk-visually-hidden";
  said.setAttribute("role", "status");
  group.append(field, said);
  form.append(group);
  const texts = rows.map((row) => row.textContent.toLocaleLowerCase("en-GB"));
  field.addEventListener("input", () => {
    const words = field.value.toLocaleLowerCase("en-GB").split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = !words.every((word) => texts[at].includes(word));
      if (!row.hidden) shown += 1;
    });
    said.textContent = words.length ? `${shown} of ${rows.length} shown` : "";
  });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
}
