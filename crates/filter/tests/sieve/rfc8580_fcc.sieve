# RFC 8580 §3: copies of what vacation and notify send.
require ["vacation", "fcc", "mailbox", "enotify", "imap4flags"];
vacation :days 7 :from "me@example.com" :fcc "INBOX.Sent" :create :flags "\\Seen" "Gone fishing";
notify :fcc "INBOX.Sent" :message "You got mail!" "mailto:ken@example.com";
/*
== message
To: me@example.com
Subject: x

== expect
vacation to sender@example.net for 604800, copy in INBOX.Sent, from me@example.com, "Auto: x": "Gone fishing"
notify 2 to ken@example.com, from me@example.com, "You got mail!": "You got mail!"
implicit keep
*/
