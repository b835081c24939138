version=2
rule=:%remote_addr:word% - %remote_user:word% [%time_local:char-to:]%] "%method:word% %path:word% %protocol:char-to:"%" %{"name":"status","type":"number","format":"number"}% %{"name":"body_bytes_sent","type":"number","format":"number"}% "%http_referer:char-to:"%" "%http_user_agent:char-to:"%"
