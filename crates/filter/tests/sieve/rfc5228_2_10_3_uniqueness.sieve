# RFC 5228 §2.10.3: one mailbox, one message.
require "fileinto";
fileinto "A"; fileinto "A"; fileinto "INBOX"; keep;
redirect "a@example.org"; redirect "A@EXAMPLE.org"; redirect "a@example.org";
/*
== expect
fileinto "A"
fileinto "INBOX"
redirect a@example.org
redirect A@example.org
*/
