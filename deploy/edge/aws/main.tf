# What stands before the Gateway at AWS: CloudFront with a web ACL, and a load balancer that nobody else reaches. docs/delivery.md says
# what they cannot do, and what the program does itself. Where the state goes, and with which account, is for whoever applies this to
# say, in files of their own. All of it is in us-east-1, where CloudFront looks for such things, but the rule of the security group.
terraform {
  required_version = ">= 1.8"
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = "~> 6.25"
      configuration_aliases = [aws.edge, aws.origin]
    }
  }
}
