"""With jmapc, a client library of others: from the host name and a password to a sent message.

jmap_jmapc.py HOST IP PORT CAFILE FROM PASSWORD TO
"""

import json
import os
import socket
import sys

host, ip, port, cafile, sender, password, recipient = sys.argv[1:]
os.environ["REQUESTS_CA_BUNDLE"] = cafile

# The name is in no DNS that this process asks.
real = socket.getaddrinfo
socket.getaddrinfo = lambda name, *rest, **more: real(ip if name == host else name, *rest, **more)

from jmapc import (  # noqa: E402
    Client,
    Comparator,
    Email,
    EmailAddress,
    EmailBodyPart,
    EmailBodyValue,
    EmailQueryFilterCondition,
    EmailSubmission,
    MailboxQueryFilterCondition,
    Ref,
)
from jmapc.methods import (  # noqa: E402
    EmailGet,
    EmailQuery,
    EmailSet,
    EmailSubmissionSet,
    IdentityGet,
    MailboxGet,
    MailboxQuery,
    ThreadGet,
)

client = Client.create_with_password(f"{host}:{port}", sender, password)
told = {"username": client.jmap_session.username}

identity = client.request(IdentityGet()).data[0]
told["identity"] = identity.email

results = client.request(
    [
        MailboxQuery(filter=MailboxQueryFilterCondition(role="drafts")),
        MailboxGet(ids=Ref("/ids")),
    ]
)
drafts = results[1].response.data[0]
told["drafts"] = [drafts.name, drafts.role]

results = client.request(
    [
        EmailSet(
            create={
                "draft": Email(
                    mail_from=[EmailAddress(email=sender, name="Alice Ärger")],
                    to=[EmailAddress(email=recipient)],
                    subject="Grüße by jmapc",
                    keywords={"$draft": True},
                    mailbox_ids={drafts.id: True},
                    body_values={"1": EmailBodyValue(value="Sent with a client of others: ✓\n")},
                    text_body=[EmailBodyPart(part_id="1", type="text/plain")],
                )
            }
        ),
        EmailSubmissionSet(
            create={"send": EmailSubmission(email_id="#draft", identity_id=identity.id)},
            on_success_update_email={"#send": {"keywords/$draft": None, "keywords/$seen": True}},
        ),
    ]
)
told["created"] = sorted(results[0].response.created)
told["undo"] = results[1].response.created["send"].undo_status.value

results = client.request(
    [
        EmailQuery(
            filter=EmailQueryFilterCondition(in_mailbox=drafts.id),
            sort=[Comparator(property="receivedAt", is_ascending=False)],
            limit=5,
        ),
        EmailGet(ids=Ref("/ids"), fetch_text_body_values=True),
        ThreadGet(ids=Ref("/list/*/threadId")),
    ]
)
email = results[1].response.data[0]
told["subject"] = email.subject
told["text"] = email.body_values[email.text_body[0].part_id].value
told["keywords"] = sorted(email.keywords)
told["thread"] = results[2].response.data[0].email_ids == [email.id]
print(json.dumps(told))
