package portal

import "github.com/sallyport-auth/sallyport/internal/web"

// agent is web.Agent in a sentence. What is not recognised comes back as it was sent;
// every program can call itself what it likes, and the page says so.
func (p *Portal) agent(header string) string {
	if header == "" {
		return p.say("sessions.unknown")
	}
	program, system := web.Agent(header)
	if program == "" {
		return header
	}
	return p.say("sessions.agent", program, system)
}
