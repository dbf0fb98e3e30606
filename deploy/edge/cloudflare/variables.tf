variable "zone_id" {
  type        = string
  description = "The zone that the name is in"
}

variable "hostname" {
  type        = string
  description = "Where people find the platform, as in the Gateway and in RAMPART_PUBLIC_URL"
  default     = "rampart.example.com"
}

variable "address_rate" {
  type        = number
  description = "Requests a second that one address may make, as --address-rate says it; counted over ten seconds, and in each data centre by itself"
  default     = 100
}

variable "login" {
  type        = object({ requests = number, seconds = number })
  description = "Passwords of one address that are let through, as --login-rate says it"
  default     = { requests = 10, seconds = 60 }
}

variable "sign_up" {
  type        = object({ requests = number, seconds = number })
  description = "Invitations of one address that are let through, as --sign-up-rate says it. An hour needs the plan Enterprise: with Business say 600 seconds, with Pro 60"
  default     = { requests = 5, seconds = 3600 }
}

variable "countries" {
  type        = list(string)
  description = "Only from these countries (ISO 3166, such as DE); empty: from anywhere"
  default     = []
}

variable "owasp_action" {
  type        = string
  description = "What is done about a request that OWASP's rules take for an attack. People write attacks down here, in comments and decisions: look at the log for some weeks before you say block"
  default     = "log"

  validation {
    condition     = contains(["log", "managed_challenge", "block"], var.owasp_action)
    error_message = "One of log, managed_challenge and block."
  }
}

variable "origin_pull_certificate" {
  type        = string
  description = "Certificate (PEM) that Cloudflare shows to the Gateway, of an authority of your own: the one that Cloudflare has for all is everybody's"
}

variable "origin_pull_private_key" {
  type        = string
  description = "Its key (PEM). It is in the state: keep that where keys are kept"
  sensitive   = true
}
