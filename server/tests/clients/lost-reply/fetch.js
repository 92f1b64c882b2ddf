// Node's fetch when a reply is lost: run by server/tests/lost_replies.rs with the node's port.

(async () => {
    const node = `http://127.0.0.1:${process.argv[2]}`;
    // Read to its end, so that the connection is used again.
    await (await fetch(`${node}/count`)).text();
    await fetch(`${node}/counters/visits/increment`, { method: "POST", signal: AbortSignal.timeout(1000) })
        .then((answer) => console.log("counted:", answer.status), (error) => console.log("not known:", error.message));
})();
