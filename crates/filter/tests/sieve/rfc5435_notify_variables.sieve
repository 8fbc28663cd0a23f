# RFC 5435 §8, the third example: the subject in the URI.
require ["enotify", "fileinto", "variables"];
if header :matches "Subject" "*" { set :encodeurl "subject" "${1}"; }
notify :from "cal@example.com" "mailto:0123456789@sms.example.net?subject=${subject}&body=see%20there";
if valid_notify_method ["mailto:a@example.org", "tel:123"] { fileinto "both valid"; }
if valid_notify_method "mailto:a@example.org" { fileinto "valid"; }
if notify_method_capability "mailto:a@example.org" "Online" ["yes", "maybe"] { fileinto "online"; }
/*
== expect
notify 2 to 0123456789@sms.example.net, from cal@example.com, "I have a present for you": "see there"
fileinto "valid"
fileinto "online"
*/
