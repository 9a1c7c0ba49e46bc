// Browsers start no worker from a file. On a page that is opened from a folder, this class takes the
// place of theirs: it runs the worker's script, the search, in a hidden frame of the page.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #ready;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      document.body.append(this.#frame);
      const inside = this.#frame.contentWindow;
      inside.postMessage = (data) => this.#tell(this, data);
      this.#ready = new Promise((resolve, reject) => {
        const script = inside.document.createElement("script");
        script.src = url;
        script.onload = resolve;
        script.onerror = reject;
        inside.document.body.append(script);
      });
      this.#ready.catch(() => this.#tell(this, undefined, "error"));
    }

    postMessage(data) {
      this.#ready.then(() => this.#tell(this.#frame.contentWindow, data), () => {});
    }

    terminate() {
      this.#frame.remove();
    }

    #tell(target, data, type = "message") {
      const copy = structuredClone(data);
      setTimeout(() => { // as with a worker, the sender goes on first
        const event = new MessageEvent(type, { data: copy });
        target.dispatchEvent(event);
        if (target === this) this[`on${type}`]?.(event);
      });
    }
  };
}
