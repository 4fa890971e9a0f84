// The search runs in a worker. Browsers start no workers for pages that are opened as files, so there an invisible
// frame takes the worker's place: the script runs in it, and messages are passed as events.
if (location.protocol === "file:") {
  const load = (frame, url) =>
    new Promise((loaded, failed) => {
      const script = frame.contentDocument.createElement("script");
      script.src = url;
      script.onload = loaded;
      script.onerror = () => failed(new Error(`cannot load ${url}`));
      frame.contentDocument.body.append(script);
    });

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html><body></body>";
      this.started = new Promise((opened) => {
        this.frame.onload = opened;
      }).then(() => {
        const inside = this.frame.contentWindow;
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        inside.importScripts = (...urls) =>
          urls.reduce((before, next) => before.then(() => load(this.frame, next)), Promise.resolve());
        return load(this.frame, url);
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      this.started.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = window.Worker = IFrameWorker;
}
