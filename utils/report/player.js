"use strict";
// Moves the cursor of every player with its video, says what is known at that time, and seeks where one clicks.
const players = [...document.querySelectorAll(".player")];
for (const player of players) {
  const video = player.querySelector("video"), plot = player.querySelector(".plot");
  const cursor = player.querySelector(".cursor"), now = player.querySelector(".now");
  const track = JSON.parse(player.querySelector("script[type='application/json']").textContent);
  const percent = share => Math.round(100 * share) + " %";
  const clock = s => track.duration < 120 ? s.toFixed(1) + " s"
    : Math.floor(s / 60) + ":" + String(Math.floor(s % 60)).padStart(2, "0");

  const at = time => { // the last frame at or before a time
    let low = 0, high = track.times.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (track.times[middle] <= time + 1e-6) low = middle; else high = middle - 1;
    }
    return low;
  };
  const say = (name, text) => {
    const place = now.querySelector("." + name);
    if (place && place.textContent !== text) place.textContent = text;
  };
  const show = () => {
    const time = video.currentTime, k = at(time);
    cursor.style.left = Math.min(100, 100 * time / track.duration) + "%";
    player.dataset.time = time.toFixed(3);
    say("clock", clock(time));
    say("progress", percent(track.progress[k]));
    if (track.lower && track.lower[k] !== null)
      say("interval", percent(track.lower[k]).replace(" %", "") + " to " + percent(track.upper[k]));
    if (track.steps)
      say("step", track.steps[k] < 0 ? "no step yet" : track.labels[track.steps[k]]);
    if (track.steps && track.sure) say("sure", track.steps[k] < 0 ? "" : track.sure[k]);
    if (track.remaining) say("remaining", track.remaining[k]);
    if (track.reasons) say("doubt", track.reasons[k] ? "out of range: " + track.reasons[k] : "");
  };
  const follow = () => { show(); if (!video.paused && !video.ended) requestAnimationFrame(follow); };
  const seek = time => { video.currentTime = Math.max(0, Math.min(time, video.duration || time)); show(); };
  for (const event of ["loadedmetadata", "timeupdate", "seeking", "seeked", "pause"])
    video.addEventListener(event, show);
  video.addEventListener("play", follow);
  plot.addEventListener("click", event => {
    const box = plot.getBoundingClientRect();
    seek(track.duration * (event.clientX - box.left) / box.width);
  });
  for (const button of player.querySelectorAll("button[data-time]"))
    button.addEventListener("click", event => { event.stopPropagation(); seek(Number(button.dataset.time)); });

  // page.html#t=3.5 opens it at that time.
  const given = players.length === 1 && location.hash.match(/^#t=([\d.]+)$/);
  if (given) {
    if (video.readyState >= 1) seek(Number(given[1]));
    else video.addEventListener("loadedmetadata", () => seek(Number(given[1])), { once: true });
  }
  show();
}
