() => {
  // What Gradio has no part for: fading without asking the server, saving a file made in memory, dropping a folder.
  window.gazetune = {
    fade(percent) {
      document.documentElement.style.setProperty("--gt-opacity", percent / 100);
    },
    save(content) {
      if (!content) return;
      const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([bytes], { type: "application/zip" }));
      link.download = "gazetune-maps.zip";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    },
  };
  const filesOf = async (entry) => {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const part = await new Promise((done, failed) => reader.readEntries(done, failed)); // 100 at a time
      if (!part.length) break;
      for (const inside of part) found.push(...(await filesOf(inside)));
    }
    return found;
  };
  document.addEventListener("drop", async (event) => {
    const target = event.target;
    if (!(target instanceof Element) || !target.closest("#gt-drop") || !event.isTrusted) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return; // plain files: Gradio takes them
    event.preventDefault();
    event.stopPropagation();
    const carried = new DataTransfer();
    for (const entry of entries)
      for (const file of await filesOf(entry)) if (file.type.startsWith("image/")) carried.items.add(file);
    target.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: carried }));
  }, true);
  // Gradio's passing messages are a button with a button inside, which no screen reader can make sense of
  new MutationObserver(() => {
    for (const head of document.querySelectorAll(".toast-header[role=button]")) {
      head.removeAttribute("role");
      head.removeAttribute("tabindex");
    }
  }).observe(document.body, { childList: true, subtree: true });
}
