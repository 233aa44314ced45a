package probe

// What the tests of the plaintext dialogues need to see.
var (
	Upgrade     = upgrade
	MaxInjected = maxInjected
	MaxDialogue = maxDialogue
	MaxDetail   = maxDetail
)

type STARTTLSError = starttlsError
