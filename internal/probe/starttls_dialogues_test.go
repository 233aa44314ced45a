package probe_test

import (
	"strings"

	"example.com/certscan/internal/inventory"
)

// Dialogues of the protocols that answer with three-digit codes.
var codedDialogues = []dialogue{
	{
		proto: inventory.SMTP, name: "goes ahead",
		script: []step{
			says("220-mx.example ESMTP\r\n220-no spam\r\n220 please\r\n"), hears("EHLO localhost\r\n"),
			says("250-mx.example\r\n250-SIZE 10\r\n250-starttls\r\n250 HELP\r\n"), hears("STARTTLS\r\n"), says("220 2.0.0 Ready\r\n"),
		},
	},
	{
		proto: inventory.SMTP, name: "has something behind the go-ahead",
		script: []step{
			says("220 mx.example ESMTP\r\n"), hears("EHLO localhost\r\n"),
			says("250 STARTTLS\r\n"), hears("STARTTLS\r\n"), says("220 go\r\nRSET\r\n"),
		},
		injected: "RSET\r\n",
	},
	{
		proto: inventory.SMTP, name: "does not offer it",
		script: []step{
			says("220 mx.example ESMTP\r\n"), hears("EHLO localhost\r\n"),
			says("250-STARTTLS.example\r\n250 XSTARTTLS\r\n"),
		},
		status: missing, detail: "250-STARTTLS.example; 250 XSTARTTLS",
	},
	{
		proto: inventory.SMTP, name: "is older than EHLO",
		script: []step{says("220 mx.example\r\n"), hears("EHLO localhost\r\n"), says("502 what?\r\n")},
		status: missing, detail: "502 what?",
	},
	{
		proto: inventory.SMTP, name: "does not like the name",
		script: []step{says("220 mx.example\r\n"), hears("EHLO localhost\r\n"), says("550 who are you\r\n")},
		status: refused, detail: "550 who are you",
	},
	{
		proto: inventory.SMTP, name: "has no certificate",
		script: []step{
			says("220 mx.example ESMTP\r\n"), hears("EHLO localhost\r\n"), says("250 STARTTLS\r\n"),
			hears("STARTTLS\r\n"), says("454 4.7.0 TLS not available due to local problem\r\n"),
		},
		status: refused, detail: "454 4.7.0 TLS not available due to local problem",
	},
	{
		proto: inventory.SMTP, name: "is closed",
		script: []step{says("554-go away\r\n554 you\r\n")}, status: refused, detail: "554-go away; 554 you",
	},
	{
		proto: inventory.SMTP, name: "is a file server",
		script: []step{says("220 (vsFTPd 3.0.3)\r\n"), hears("EHLO localhost\r\n"), says("530 Please login with USER and PASS.\r\n")},
		status: notTLS, detail: "ftp: 220 (vsFTPd 3.0.3)",
	},
	{
		proto: inventory.SMTP, name: "is SSH",
		script: []step{says("SSH-2.0-OpenSSH_9.2p1\r\n")}, status: notTLS, detail: "ssh: SSH-2.0-OpenSSH_9.2p1",
	},
	{
		proto: inventory.SMTP, name: "is MySQL",
		script: []step{says("\x2a\x00\x00\x00\x0a5.7.31\x00" + strings.Repeat("x", 34))},
		status: notTLS, detail: "mysql: *\x00\x00\x00",
	},
	{
		proto: inventory.SMTP, name: "is an unknown protocol",
		script: []step{says("welcome to \xff\r\n")}, status: notTLS, detail: "welcome to ?",
	},
	{
		proto: inventory.SMTP, name: "is wordy",
		script: []step{says("554 " + strings.Repeat("é", 200) + "\r\n")}, status: refused, detail: "554 " + strings.Repeat("é", 98),
	},
	{
		proto: inventory.LMTP, name: "goes ahead",
		script: []step{
			says("220 mx.example LMTP\r\n"), hears("LHLO localhost\r\n"),
			says("250-mx.example\r\n250 STARTTLS\r\n"), hears("STARTTLS\r\n"), says("220 go\r\n"),
		},
	},
	{
		proto: inventory.LMTP, name: "is SMTP",
		script: []step{says("220 mx.example ESMTP\r\n"), hears("LHLO localhost\r\n"), says("502 5.5.2 Error\r\n")},
		status: notTLS, detail: "smtp: 220 mx.example ESMTP",
	},
	{
		proto: inventory.LMTP, name: "calls itself SMTP and refuses",
		script: []step{
			says("220 mx.example ESMTP\r\n"), hears("LHLO localhost\r\n"),
			says("250 STARTTLS\r\n"), hears("STARTTLS\r\n"), says("454 no\r\n"),
		},
		status: refused, detail: "454 no",
	},
	{
		proto: inventory.FTP, name: "goes ahead",
		script: []step{
			says("220-hello\r\n 250 is not the end\r\n220 ready\r\n"), hears("AUTH TLS\r\n"), says("234 Proceed\r\n"),
		},
	},
	{
		proto: inventory.FTP, name: "does not know AUTH",
		script: []step{says("220 ready\r\n"), hears("AUTH TLS\r\n"), says("500 what?\r\n")},
		status: missing, detail: "500 what?",
	},
	{
		proto: inventory.FTP, name: "wants a login first",
		script: []step{says("220 ready\r\n"), hears("AUTH TLS\r\n"), says("530 Please login with USER and PASS.\r\n")},
		status: refused, detail: "530 Please login with USER and PASS.",
	},
	{
		proto: inventory.FTP, name: "has something behind the go-ahead",
		script:   []step{says("220 ready\r\n"), hears("AUTH TLS\r\n"), says("234 Proceed\r\n331 ")},
		injected: "331 ",
	},
	{
		proto: inventory.FTP, name: "is a mail server",
		script: []step{says("220 mx.example ESMTP\r\n"), hears("AUTH TLS\r\n"), says("502 5.5.2\r\n")},
		status: notTLS, detail: "smtp: 220 mx.example ESMTP",
	},
	{
		proto: inventory.NNTP, name: "goes ahead",
		script: []step{
			says("201 read only\r\n"), hears("CAPABILITIES\r\n"),
			says("101 these\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n"), hears("STARTTLS\r\n"), says("382 go\r\n"),
		},
	},
	{
		proto: inventory.NNTP, name: "goes ahead without capabilities",
		script: []step{
			says("200 hello\r\n"), hears("CAPABILITIES\r\n"), says("500 what?\r\n"), hears("STARTTLS\r\n"), says("382 go\r\n"),
		},
	},
	{
		proto: inventory.NNTP, name: "does not offer it",
		script: []step{says("200 hello\r\n"), hears("CAPABILITIES\r\n"), says("101 these\r\nVERSION 2\r\n.\r\n")},
		status: missing, detail: "VERSION 2",
	},
	{
		proto: inventory.NNTP, name: "knows neither command",
		script: []step{
			says("200 hello\r\n"), hears("CAPABILITIES\r\n"), says("500 what?\r\n"), hears("STARTTLS\r\n"), says("500 what?\r\n"),
		},
		status: missing, detail: "500 what?",
	},
	{
		proto: inventory.NNTP, name: "refuses",
		script: []step{
			says("200 hello\r\n"), hears("CAPABILITIES\r\n"), says("101 these\r\nSTARTTLS\r\n.\r\n"),
			hears("STARTTLS\r\n"), says("580 cannot\r\n"),
		},
		status: refused, detail: "580 cannot",
	},
	{
		proto: inventory.NNTP, name: "is a web server",
		script: []step{says("HTTP/1.1 408 Request Timeout\r\n")}, status: notTLS, detail: "http: HTTP/1.1 408 Request Timeout",
	},
}

// Dialogues of the other line protocols.
var textDialogues = []dialogue{
	{
		proto: inventory.IMAP, name: "goes ahead",
		script: []step{
			says("* OK [CAPABILITY IMAP4rev1] hello\r\n"), hears("a1 CAPABILITY\r\n"),
			says("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na1 OK done\r\n"), hears("a2 STARTTLS\r\n"), says("a2 OK go\r\n"),
		},
	},
	{
		proto: inventory.IMAP, name: "has something behind the go-ahead",
		script: []step{
			says("* OK hello\r\n"), hears("a1 CAPABILITY\r\n"), says("* CAPABILITY STARTTLS\r\na1 OK\r\n"),
			hears("a2 STARTTLS\r\n"), says("a2 OK go\r\n* PREAUTH evil\r\n"),
		},
		injected: "* PREAUTH evil\r\n",
	},
	{
		proto: inventory.IMAP, name: "does not offer it",
		script: []step{says("* OK hello\r\n"), hears("a1 CAPABILITY\r\n"), says("* CAPABILITY IMAP4rev1\r\na1 OK done\r\n")},
		status: missing, detail: "* CAPABILITY IMAP4rev1; a1 OK done",
	},
	{
		proto: inventory.IMAP, name: "is logged in already",
		script: []step{says("* PREAUTH welcome back\r\n")}, status: refused, detail: "* PREAUTH welcome back",
	},
	{
		proto: inventory.IMAP, name: "refuses",
		script: []step{
			says("* OK hello\r\n"), hears("a1 CAPABILITY\r\n"), says("* CAPABILITY STARTTLS\r\na1 OK\r\n"),
			hears("a2 STARTTLS\r\n"), says("a2 NO not now\r\n"),
		},
		status: refused, detail: "a2 NO not now",
	},
	{
		proto: inventory.IMAP, name: "says goodbye",
		script: []step{says("* OK hello\r\n"), hears("a1 CAPABILITY\r\n"), says("* BYE too many\r\n")},
		status: refused, detail: "* BYE too many",
	},
	{
		proto: inventory.IMAP, name: "is POP3",
		script: []step{says("+OK hello\r\n")}, status: notTLS, detail: "pop3: +OK hello",
	},
	{
		proto: inventory.POP3, name: "goes ahead",
		script: []step{
			says("+OK hello\r\n"), hears("CAPA\r\n"), says("+OK\r\nUSER\r\nSTLS\r\n.\r\n"), hears("STLS\r\n"), says("+OK go\r\n"),
		},
	},
	{
		proto: inventory.POP3, name: "goes ahead without capabilities",
		script: []step{says("+OK\r\n"), hears("CAPA\r\n"), says("-ERR what?\r\n"), hears("STLS\r\n"), says("+OK go\r\nevil")},

		injected: "evil",
	},
	{
		proto: inventory.POP3, name: "does not offer it",
		script: []step{says("+OK\r\n"), hears("CAPA\r\n"), says("+OK\r\nUSER\r\n.\r\n")},
		status: missing, detail: "USER",
	},
	{
		proto: inventory.POP3, name: "refuses",
		script: []step{says("+OK\r\n"), hears("CAPA\r\n"), says("-ERR\r\n"), hears("STLS\r\n"), says("-ERR no\r\n")},
		status: refused, detail: "-ERR no",
	},
	{
		proto: inventory.POP3, name: "is IMAP",
		script: []step{says("* OK hello\r\n")}, status: notTLS, detail: "imap: * OK hello",
	},
	{
		proto: inventory.Sieve, name: "goes ahead",
		script: []step{
			says("\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"hello\"\r\n"), hears("STARTTLS\r\n"), says("OK \"go\"\r\n"),
		},
	},
	{
		proto: inventory.Sieve, name: "has something behind the go-ahead",
		script:   []step{says("\"starttls\"\r\nOK\r\n"), hears("STARTTLS\r\n"), says("OK\r\n\"SASL\" \"PLAIN\"\r\n")},
		injected: "\"SASL\" \"PLAIN\"\r\n",
	},
	{
		proto: inventory.Sieve, name: "does not offer it",
		script: []step{says("\"IMPLEMENTATION\" \"x\"\r\nOK\r\n")}, status: missing, detail: `"IMPLEMENTATION" "x"`,
	},
	{
		proto: inventory.Sieve, name: "refuses",
		script: []step{says("\"STARTTLS\"\r\nOK\r\n"), hears("STARTTLS\r\n"), says("NO \"no\"\r\n")},
		status: refused, detail: `NO "no"`,
	},
	{
		proto: inventory.Sieve, name: "is busy",
		script: []step{says("BYE \"busy\"\r\n")}, status: refused, detail: `BYE "busy"`,
	},
	{
		proto: inventory.Sieve, name: "is mail",
		script: []step{says("220 mx.example SMTP\r\n")}, status: notTLS, detail: "smtp: 220 mx.example SMTP",
	},
	{
		proto: inventory.IRC, name: "goes ahead",
		script: []step{
			hears("CAP LS\r\nSTARTTLS\r\n"), says(":irc.example NOTICE * :*** Looking up\r\n:irc.example 439 * :wait\r\n"),
			says(":irc.example CAP * LS :multi-prefix tls\r\n:irc.example 670 * :go\r\n"),
		},
	},
	{
		proto: inventory.IRC, name: "goes ahead without capabilities",
		script: []step{
			hears("CAP LS\r\nSTARTTLS\r\n"),
			says(":irc.example 451 * :You have not registered\r\n:irc.example 670 * :go\r\n:irc.example 001\r\n"),
		},
		injected: ":irc.example 001\r\n",
	},
	{
		proto: inventory.IRC, name: "does not know the command",
		script: []step{
			hears("CAP LS\r\nSTARTTLS\r\n"),
			says(":irc.example CAP * LS :sasl\r\n:irc.example 421 * STARTTLS :Unknown command\r\n"),
		},
		status: missing, detail: ":irc.example 421 * STARTTLS :Unknown command",
	},
	{
		proto: inventory.IRC, name: "does not list it and hangs up",
		script: []step{hears("CAP LS\r\nSTARTTLS\r\n"), says(":irc.example CAP * LS :sasl\r\n"), hangsUp},
		status: missing, detail: ":irc.example CAP * LS :sasl",
	},
	{
		proto: inventory.IRC, name: "is a clock",
		script: []step{hears("CAP LS\r\nSTARTTLS\r\n"), says("22 NOV 2026 11:30:00 UTC\r\n")},
		status: notTLS, detail: "22 NOV 2026 11:30:00 UTC",
	},
	{
		proto: inventory.IRC, name: "refuses",
		script: []step{hears("CAP LS\r\nSTARTTLS\r\n"), says(":irc.example 691 * :no key\r\n")},
		status: refused, detail: ":irc.example 691 * :no key",
	},
	{
		proto: inventory.IRC, name: "says why it hangs up",
		script: []step{hears("CAP LS\r\nSTARTTLS\r\n"), says("ERROR :Closing link\r\n")},
		status: refused, detail: "ERROR :Closing link",
	},
	{
		proto: inventory.IRC, name: "is mail",
		script: []step{hears("CAP LS\r\nSTARTTLS\r\n"), says("220 mx.example ESMTP\r\n")},
		status: notTLS, detail: "smtp: 220 mx.example ESMTP",
	},
}
