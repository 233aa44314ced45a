package evidence

// What the tests compare with go.mod.
const (
	MozillaModule  = mozillaModule
	MozillaVersion = mozillaVersion
)

// VersionDate reads pseudo-versions.
var VersionDate = versionDate
