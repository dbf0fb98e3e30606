variable "hostname" {
  type        = string
  description = "Where people find the platform, as in the Gateway and in RAMPART_PUBLIC_URL"
  default     = "rampart.example.com"
}

variable "certificate_arn" {
  type        = string
  description = "Certificate of ACM for the name, in us-east-1"
}

variable "load_balancer_arn" {
  type        = string
  description = "The internal load balancer of the Gateway: it needs no public address"
}

variable "load_balancer_name" {
  type        = string
  description = "The name of the load balancer, which its certificate is for: the Gateway's listener has to know it, too"
}

variable "security_group_id" {
  type        = string
  description = "The security group of the load balancer, without any other rule that lets somebody in"
}

variable "log_destination_arn" {
  type        = string
  description = "Where the web ACL tells what it did: a log group, stream or bucket whose name begins with aws-waf-logs-"
}

variable "log_bucket" {
  type        = string
  description = "Where CloudFront tells who asked for what: the domain name of a bucket"
}

variable "address_rate" {
  type        = number
  description = "Requests a second that one address may make, as --address-rate says it; counted over a minute"
  default     = 100
}

variable "login_rate" {
  type        = number
  description = "Passwords a minute of one address that are let through, as --login-rate says it; 10 is the least that there is"
  default     = 10
}

variable "sign_up_rate" {
  type        = number
  description = "Invitations in ten minutes of one address that are let through; 10 is the least that there is, and ten minutes the longest. Five in an hour (--sign-up-rate) the program counts itself"
  default     = 10
}

variable "countries" {
  type        = list(string)
  description = "Only from these countries (ISO 3166, such as DE); empty: from anywhere"
  default     = []
}
