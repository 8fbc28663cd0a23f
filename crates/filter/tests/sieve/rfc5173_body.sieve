# RFC 5173 §5, §7: raw, text, content.
require ["body", "fileinto"];
if body :raw :contains "MAKE MONEY FAST" { discard; }
if body :content "text" :contains ["birdseed", "missile"] { fileinto "content"; }
if body :text :contains "project schedule" { fileinto "project"; }
if body :contains "anvil" { fileinto "default"; }
/*
== expect
fileinto "content"
fileinto "default"
*/
