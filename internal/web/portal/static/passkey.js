// Asks the browser for a passkey, puts its answer into the form, and sends the form as
// any other. Nothing else runs on our pages.
"use strict";
(() => {
  const form = document.getElementById("passkey");
  document.getElementById("passkey-noscript").hidden = true;
  const failed = document.getElementById("passkey-failed");
  const answer = form.elements.namedItem("credential");
  const options = JSON.parse(form.dataset.options).publicKey;

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  const create = async () => {
    const made = await navigator.credentials.create({ publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: named(options.excludeCredentials),
    } });
    return { made, response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
      transports: made.response.getTransports ? made.response.getTransports() : [],
    } };
  };

  const get = async () => {
    const made = await navigator.credentials.get({ publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: named(options.allowCredentials),
    } });
    return { made, response: {
      clientDataJSON: text(made.response.clientDataJSON),
      authenticatorData: text(made.response.authenticatorData),
      signature: text(made.response.signature),
      userHandle: made.response.userHandle ? text(made.response.userHandle) : undefined,
    } };
  };

  form.addEventListener("submit", async (event) => {
    if (answer.value !== "") {
      return;
    }
    event.preventDefault();
    failed.hidden = true;
    try {
      const { made, response } = await (form.dataset.kind === "create" ? create() : get());
      answer.value = JSON.stringify({
        id: made.id,
        rawId: text(made.rawId),
        type: made.type,
        response,
        clientExtensionResults: made.getClientExtensionResults(),
        authenticatorAttachment: made.authenticatorAttachment || undefined,
      });
      form.submit();
    } catch (error) {
      failed.hidden = false;
    }
  });
})();
