// Swagger UI has a dark theme, but does not follow the preference of the system.
const dark = matchMedia("(prefers-color-scheme: dark)");
const applyTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", applyTheme);
applyTheme();

// "Try it out" calls the server that this page is from, under the name that the browser knows.
const root = new URL("..", document.currentScript.src).href;
fetch(`${root}schema/openapi.json`)
  .then((response) => response.json())
  .then((spec) =>
    SwaggerUIBundle({
      spec: { ...spec, servers: [{ url: root.slice(0, -1) }] },
      dom_id: "#swagger",
      deepLinking: true,
      tryItOutEnabled: true,
      displayRequestDuration: true,
    }),
  );
