// Shows the document of this service. Its address is relative, so the page also works under a path prefix.
window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#page",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    validatorUrl: null, // the public validator, which would be sent the document
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
