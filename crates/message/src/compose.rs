//! Building messages: text, HTML, attachments, inline images.
