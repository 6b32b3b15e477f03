// Conversations, kept in this browser alone. Bounded: the oldest go when there are too many or they
// take too much room.

const KEY = "potluck.conversations";
const MOST = 60;
const MOST_CHARACTERS = 2_000_000;

// {id, title, changed, messages: [{role, content, reasoning?, note?}]}
export class Conversations {
  constructor() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      this.list = Array.isArray(kept) ? kept.filter((c) => c && Array.isArray(c.messages) && typeof c.id === "string") : [];
    } catch {
      this.list = [];
    }
  }

  find(id) {
    return this.list.find((conversation) => conversation.id === id);
  }

  begin() {
    const conversation = {id: crypto.getRandomValues(new Uint32Array(2)).join("-"), title: "", changed: Date.now(), messages: []};
    this.list.unshift(conversation);
    return conversation;
  }

  // After each change. An empty conversation is not kept.
  save(conversation) {
    conversation.changed = Date.now();
    const first = conversation.messages.find((message) => message.role === "user");
    conversation.title = first ? first.content.trim().replace(/\s+/g, " ").slice(0, 80) : "";
    this.list.sort((a, b) => b.changed - a.changed);
    let characters = 0;
    const kept = this.list.filter((c) => c.messages.length > 0).slice(0, MOST).filter((c, i) => {
      characters += JSON.stringify(c).length;
      return i === 0 || characters <= MOST_CHARACTERS;
    });
    // What did not fit is still there until the page is closed.
    this.store(kept);
  }

  store(kept) {
    for (; kept.length > 0; kept = kept.slice(0, -1)) {
      try {
        localStorage.setItem(KEY, JSON.stringify(kept));
        return;
      } catch {
        // no room: with one less
      }
    }
    localStorage.removeItem(KEY);
  }

  remove(id) {
    this.list = this.list.filter((conversation) => conversation.id !== id);
    this.store(this.list.filter((c) => c.messages.length > 0));
  }
}
