# What stands before the Gateway at Cloudflare: rules for one name of a zone. docs/delivery.md says what they cannot do, and what the
# program does itself. Where the state goes, and with which account, is for whoever applies this to say, in files of their own.
terraform {
  required_version = ">= 1.8"
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.14"
    }
  }
}

locals {
  here = "http.host eq \"${var.hostname}\""
}
