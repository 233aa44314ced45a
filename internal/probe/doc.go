// Package probe examines one TLS endpoint, STARTTLS included, and reports what
// was served.
//
// It records and does not judge: nothing is verified here, so that an expired,
// misissued or malformed certificate is seen like any other. It does not
// resolve names, retry failures or know schedules. Its invariant: a certificate
// that the server sent whole is in the observation, whatever else went wrong,
// and a probe never outlives its context, in time, in bytes or in goroutines.
package probe
