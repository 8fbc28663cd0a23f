# RFC 5435 §3, §8: a notification by mail.
require ["enotify", "fileinto", "variables"];
if header :contains "from" "coyote" {
    notify :importance "1" :message "This is probably very important" "mailto:alm@example.com";
    stop;
}
/*
== expect
notify 1 to alm@example.com, from me@example.com, "This is probably very important": "This is probably very important"
implicit keep
*/
